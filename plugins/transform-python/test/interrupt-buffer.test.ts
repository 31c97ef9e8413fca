import { expect, it } from 'vitest'
import { interruptBuffer } from '../src/interrupt-buffer.js'

it('an interruption between the look and the clearing is not lost', () => {
  const shared = new Uint8Array(new SharedArrayBuffer(1))
  const seen = interruptBuffer(shared)
  expect(seen[0]).toBe(0)
  shared[0] = 2
  seen[0] = 0
  expect([seen[0], seen[0]]).toEqual([2, 0])
})
