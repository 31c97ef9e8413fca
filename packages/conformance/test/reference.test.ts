import { describe, expect, it } from 'vitest'
import {
  addressChecks,
  attempt,
  sourceChecks,
  targetChecks,
  testAddress,
  testSource,
  testTarget,
  testTransform,
  transformChecks,
} from '../dist/index.js'
import { ModestTarget, serverSubject, sourceSubject, targetSubject } from './memory-subjects.js'
import { addressSubject } from './place-address.js'
import { transformSubject } from './upper-case.js'

testSource({ describe, it }, 'memory', async () => sourceSubject())
testSource({ describe, it }, 'memory in two shards', async () => serverSubject())
testTarget({ describe, it }, 'memory', async () => targetSubject())
testTarget({ describe, it }, 'memory that can hold less', async () => targetSubject(new ModestTarget()))
testTransform({ describe, it }, 'upper case', async () => transformSubject())
testAddress({ describe, it }, 'of a place', async () => addressSubject())

describe('every rule applies to the adapters over memory', () => {
  it('of sources', async () => {
    for (const check of sourceChecks) expect(await attempt(check, serverSubject()), check.name).toBeNull()
  })

  it('of targets, but one: memory holds all types', async () => {
    for (const check of targetChecks)
      expect(await attempt(check, targetSubject()), check.name).toBe(
        check.name === 'tells of what it cannot hold' ? 'the target holds all types' : null,
      )
  })

  it('of addresses', async () => {
    for (const check of addressChecks) expect(await attempt(check, addressSubject()), check.name).toBeNull()
  })

  it('of transforms', async () => {
    for (const check of transformChecks) expect(await attempt(check, transformSubject()), check.name).toBeNull()
  })
})
