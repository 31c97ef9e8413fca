import { describe, it } from 'node:test'
import { testContext, testTransform } from '@ferrite-migrate/conformance'
import { createTransform } from '../src/index.js'

const open = () => createTransform(testContext('', { prefix: 'new ' }))

testTransform({ describe, it }, 'SCHEME', async () => ({
  transform: await open(),
  refused: Buffer.from([65, 0, 66]),
  again: open,
}))
