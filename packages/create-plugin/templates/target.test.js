import { describe, it } from 'node:test'
import { testContext, testTarget } from '@ferrite-migrate/conformance'
import { createTarget } from '../src/index.js'

testTarget({ describe, it }, 'SCHEME', async () => ({ target: await createTarget(testContext('SCHEME://memory')) }))
