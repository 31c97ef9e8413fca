import { commandRecord } from '@ferrite-migrate/protocol'
import { describe, expect, it } from 'vitest'
import { ChangeRouter } from '../../../dist/engine/changes/change-router.js'
import { LaterEnds } from '../../../dist/engine/expiry/later-end.js'
import { RecordFilter } from '../../../dist/index.js'
import { DirtySet } from '../../../dist/records/dirty-set.js'
import { command, names, words } from '../../doubles.js'

const filter = (config: ConstructorParameters<typeof RecordFilter>[0] = {}) => new RecordFilter(config)

describe('change router', () => {
  const make = (options: Partial<ConstructorParameters<typeof ChangeRouter>[0]> = {}) => {
    const pending = new DirtySet()
    const held = new DirtySet()
    const ends = new LaterEnds('hold')
    return {
      pending,
      held,
      ends,
      router: new ChangeRouter(
        {
          apply: 'replay',
          filter: filter(),
          knows: () => true,
          relativeExpiry: false,
          flushesAll: true,
          renames: false,
          ...options,
        },
        ends,
        pending,
        held,
      ),
    }
  }
  it('forwards what it can, verbatim', () => {
    const records = [command('SET', 'a', '1'), command('INCR', 'b')]
    expect(make().router.route(records).forward).toEqual(records)
  })
  it('makes dirty what the target lacks and what scripts touch, and what follows on the same key', () => {
    const { router } = make({ knows: (name) => name !== 'HSETEX' })
    const routed = router.route([
      command('HSETEX', 'h', 'EX', '1', 'FIELDS', '1', 'f', 'v'),
      command('EVAL', 'x', '1', 'k'),
      command('HSET', 'h', 'g', '1'),
      command('SET', 'other', '1'),
    ])
    expect(routed.forward.map(words)).toEqual(['SET other 1'])
    expect(names(routed.dirty)).toEqual(['h', 'k', 'h'])
  })
  it('cuts multi-key commands down to what the filter takes', () => {
    const { router } = make({ filter: filter({ include: ['a*'] }) })
    const routed = router.route([
      command('DEL', 'a1', 'b1', 'a2'),
      command('MSET', 'a1', '1', 'b1', '2'),
      command('RENAME', 'a1', 'b2'),
      command('SET', 'b', '1'),
    ])
    expect(routed.forward.map(words)).toEqual(['DEL a1 a2', 'MSET a1 1'])
    expect(names(routed.dirty)).toEqual(['a1'])
  })
  it('flushes only its own keys under a filter', () => {
    const { router } = make({ filter: filter({ include: ['a*'] }) })
    const routed = router.route([command('SET', 'a1', '1'), command('FLUSHALL')])
    expect(routed.flush).toEqual([])
    expect(routed.forward.map(words)).toEqual(['DEL a1'])
  })
  it('holds short expiries back, follows them, and forgets them with DEL', () => {
    const { router, held, ends } = make()
    const soon = String(Date.now() + 5000)
    const routed = router.route([command('PEXPIREAT', 'k', soon), command('RENAME', 'k', 'k2')])
    expect(Number(String(routed.forward[0].argv[2]))).toBeGreaterThan(Date.now() + 3_600_000)
    expect(held.has(0, Buffer.from('k2'))).toBe(true)
    router.route([command('DEL', 'k2')])
    expect(held.has(0, Buffer.from('k2'))).toBe(false)
    ends.how = 'read'
    expect(words(router.route([command('PEXPIREAT', 'k', soon)]).forward[0])).toBe(`PEXPIREAT k ${soon}`)
    const atOnce = router.route([command('PEXPIREAT', 'k', String(Date.now() + 10))])
    expect([atOnce.forward.length, names(atOnce.dirty)]).toEqual([0, ['k']])
  })
  it('takes conditions off an expiry: at the target they would be held against another one', () => {
    const { router } = make()
    const later = String(Date.now() + 3_600_000)
    const routed = router.route([command('PEXPIREAT', 'k', later, 'GT'), command('PEXPIREAT', 'k', later)])
    expect(routed.forward.map(words)).toEqual([`PEXPIREAT k ${later}`, `PEXPIREAT k ${later}`])
  })
  it('puts ends of a file off that have passed or are near', () => {
    const { router, ends } = make()
    ends.how = 'postpone'
    const far = String(Date.now() + 90 * 3_600_000)
    const routed = router.route([
      command('SET', 'k', 'v', 'PXAT', '1700000000000'),
      command('PEXPIREAT', 'k', far, 'NX'),
    ])
    expect(routed.forward.map(words)).toEqual(['SET k v PXAT 9700000000000', `PEXPIREAT k ${far}`])
  })
  it('turns relative expiries into absolute ones', () => {
    const { router } = make({ relativeExpiry: true })
    const at = Date.now()
    const [set, expire] = router.route([
      commandRecord(
        0,
        ['SETEX', 'k', '1000', 'v'].map((word) => Buffer.from(word)),
        at,
      ),
    ]).forward
    expect(words(set)).toBe('SET k v')
    expect(words(expire)).toBe(`PEXPIREAT k ${at + 1_000_000}`)
  })
  it('drops what Sentinels say', () =>
    expect(
      make()
        .router.route([command('PUBLISH', '__sentinel__:hello', 'x'), command('PUBLISH', 'news', 'x')])
        .forward.map(words),
    ).toEqual(['PUBLISH news x']))
})
