import { testContext, testTransform } from '@ferrite-migrate/conformance'
import type { Transform } from '@ferrite-migrate/contracts'
import { createTransform } from '@ferrite-migrate/transform-jq'
import { describe, it } from 'vitest'

const open = (): Promise<Transform> =>
  createTransform(testContext('', { filter: '.a', memory: 256 << 20, timeout: 10_000, workers: 1 }))

testTransform({ describe, it }, 'jq', async () => ({
  transform: await open(),
  items: ['{"a":1}', '{"a":"text"}', '{"a":[1,2]}', '{"a":null}'].map((text) => Buffer.from(text)),
  refused: Buffer.from('no json'),
  again: open,
}))
