import { describe, expect, it } from 'vitest'
import { Gate } from '../../../dist/engine/lanes/gate.js'
import { turn } from '../../doubles.js'

describe('gate', () => {
  it('holds what passes to a rate', async () => {
    const gate = new Gate(1000)
    const startedAt = Date.now()
    for (let i = 0; i < 15; i++) await gate.pass(100)
    expect(Date.now() - startedAt).toBeGreaterThan(400)
  })

  it('stops while paused, and lets everybody go on together', async () => {
    const gate = new Gate(1_000_000)
    gate.pause()
    gate.pause()
    expect(gate.paused).toBe(true)
    let passed = 0
    const waiting = Array.from({ length: 3 }, () =>
      gate.pass(1)?.then(() => {
        passed++
      }),
    )
    await turn()
    expect(passed).toBe(0)
    gate.resume()
    await Promise.all(waiting)
    expect([passed, gate.paused]).toEqual([3, false])
  })

  it('with nothing to wait for lets pass at once', () => {
    expect(new Gate(0).pass(1_000_000)).toBeUndefined()
  })

  it('that ends holds nobody up any more, neither by its rate nor by a pause', async () => {
    const slow = new Gate(1)
    await slow.pass(1)
    const waiting = slow.pass(1_000_000)
    slow.end()
    await waiting
    slow.pause()
    expect([slow.paused, slow.pass(1_000_000)]).toEqual([false, undefined])
  })
})
