import { MemoryTarget } from '@ferrite-migrate/conformance'
import { describe, expect, it } from 'vitest'
import { TargetRecovery } from '../../../dist/engine/lanes/target-recovery.js'
import { turn } from '../../doubles.js'

/** A target that is brought back when a test lets it. */
class LostTarget extends MemoryTarget {
  readonly done: string[] = []
  back = Promise.withResolvers<void>()

  async reconnect(): Promise<void> {
    this.done.push('reconnect')
    await this.back.promise
  }

  async takeOver(migration: string): Promise<void> {
    this.done.push(`take over ${migration}`)
  }
}

describe('a lost target', () => {
  it('is brought back once for all shards that noticed the loss', async () => {
    const target = new LostTarget()
    const recovery = new TargetRecovery(target, 'm')
    const all = Promise.all([recovery.recover(0), recovery.recover(0), recovery.recover(0)])
    await turn()
    expect([target.done, recovery.generation]).toEqual([['reconnect'], 0])
    target.back.resolve()
    await all
    expect([target.done, recovery.generation]).toEqual([['reconnect', 'take over m'], 1])
    // A loss of before is dealt with; one of now is not.
    await recovery.recover(0)
    expect(target.done).toHaveLength(2)
    await recovery.recover(1)
    expect([target.done.length, recovery.generation]).toEqual([4, 2])
  })

  it('is left by everybody before its connections are made anew', async () => {
    const target = new LostTarget()
    target.back.resolve()
    const recovery = new TargetRecovery(target, 'm', () => target.done.push('leave'))
    await recovery.recover(0)
    expect(target.done).toEqual(['leave', 'reconnect', 'take over m'])
  })

  it('that does not come back is tried again by the next', async () => {
    const target = new LostTarget()
    const recovery = new TargetRecovery(target, 'm')
    const first = recovery.recover(0)
    const second = recovery.recover(0)
    const { back } = target
    target.back = Promise.withResolvers<void>()
    target.back.resolve()
    back.reject(new Error('refused'))
    await expect(first).rejects.toThrow('refused')
    await second
    expect([target.done, recovery.generation]).toEqual([['reconnect', 'reconnect', 'take over m'], 1])
  })
})
