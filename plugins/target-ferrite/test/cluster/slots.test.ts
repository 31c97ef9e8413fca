import { type ChangeRecord, PackedChange } from '@ferrite-migrate/contracts'
import { commandBytes, commandRecord, keySlot, SLOTS } from '@ferrite-migrate/protocol'
import { slotTag } from '@ferrite-migrate/redis'
import { describe, expect, it } from 'vitest'
import { withAsking } from '../../src/asking.js'
import { NO_SLOT, SEVERAL_SLOTS, slotOfChange } from '../../src/cluster/change-slots.js'
import { groupChanges } from '../../src/cluster/slot-groups.js'

const bytes = (words: readonly string[]): Buffer[] => words.map((word) => Buffer.from(word))
const slot = (key: string): number => keySlot(Buffer.from(key))

/** A command as it stands in a block of the stream, behind other bytes. */
function packed(at: number, ...words: string[]): PackedChange {
  const resp = commandBytes(bytes(words))
  const data = Buffer.concat([Buffer.from('+++'), resp, Buffer.from('---')])
  return new PackedChange(0, words[0], data, 3, 3 + resp.length, 0, at)
}

const record = (at: number | undefined, ...words: string[]): ChangeRecord => commandRecord(0, bytes(words), 0, at)
const nothingDone = (): number => -1

/** The groups of the only step. */
function groupsOf(records: readonly ChangeRecord[], doneUpTo: (slot: number) => number = nothingDone) {
  const { steps, refused, done } = groupChanges(records, doneUpTo)
  const [step] = steps
  const groups = step?.kind === 'groups' ? step.groups : []
  return {
    refused: refused.map(({ record: { name } }) => name),
    done,
    groups: groups.map((group) => ({
      slot: group.slot,
      at: group.at,
      commands: group.records.map(({ argv }) => argv.map(String).join(' ')),
    })),
  }
}

describe('tags of slots', () => {
  it('put a name into each slot, by four letters at most, and never change', () => {
    for (let one = 0; one < SLOTS; one++) {
      expect(slotTag(one)).toMatch(/^[0-9a-z]{1,4}$/)
      expect(keySlot(Buffer.from(`__ferrite_migrate__:id:shard:{${slotTag(one)}}`))).toBe(one)
    }
    expect([0, 1, 8191, 16_383].map(slotTag)).toEqual(TAGS)
  })
})

/** Checkpoints of former versions are found by these. */
const TAGS = ['1bz', 'emj', '7ho', 'hia']

describe('the slot of a command', () => {
  it('is that of its keys, in a block of the stream and taken apart', () => {
    for (const words of [
      ['SET', 'a', 'b'],
      ['RPUSH', '{tag}list', 'x', 'y'],
      ['INCR', 'k'.repeat(300)],
    ]) {
      expect(slotOfChange(packed(1, ...words))).toBe(slot(words[1]))
      expect(slotOfChange(record(1, ...words))).toBe(slot(words[1]))
    }
    expect(slotOfChange(packed(1, 'RENAME', '{t}a', '{t}b'))).toBe(slot('t'))
    expect(slotOfChange(packed(1, 'RENAME', 'a', 'b'))).toBe(SEVERAL_SLOTS)
    expect(slotOfChange(packed(1, 'ZUNIONSTORE', '{t}a', '2', '{t}b', '{t}c'))).toBe(slot('t'))
    expect(slotOfChange(packed(1, 'FLUSHALL'))).toBe(NO_SLOT)
    expect(slotOfChange(packed(1, 'PUBLISH', 'a', 'b'))).toBe(NO_SLOT)
  })
})

describe('a batch of changes', () => {
  it('becomes one group a slot, in order', () => {
    const { groups } = groupsOf([
      packed(10, 'INCR', '{a}n'),
      packed(20, 'INCR', '{b}n'),
      record(30, 'RPUSH', '{a}l', 'x'),
      packed(40, 'RENAME', '{b}n', '{b}m'),
    ])
    expect(groups).toEqual([
      { slot: slot('a'), at: 30, commands: ['INCR {a}n', 'RPUSH {a}l x'] },
      { slot: slot('b'), at: 40, commands: ['INCR {b}n', 'RENAME {b}n {b}m'] },
    ])
  })

  it('divides what means the same for each key, with its place', () => {
    const { groups, refused } = groupsOf([
      record(10, 'DEL', '{a}1', '{b}1', '{a}2'),
      record(20, 'MSET', '{a}1', 'x', '{b}1', 'y'),
    ])
    expect(refused).toEqual([])
    expect(groups).toEqual([
      { slot: slot('a'), at: 20, commands: ['DEL {a}1 {a}2', 'MSET {a}1 x'] },
      { slot: slot('b'), at: 20, commands: ['DEL {b}1', 'MSET {b}1 y'] },
    ])
  })

  it('refuses what no node can do, and SWAPDB', () => {
    const { groups, refused } = groupsOf([
      record(10, 'MSETNX', '{a}1', 'x', '{b}1', 'y'),
      record(20, 'SUNIONSTORE', '{a}s', '{b}s'),
      record(30, 'SWAPDB', '0', '1'),
      record(40, 'INCR', '{a}n'),
    ])
    expect(refused).toEqual(['MSETNX', 'SUNIONSTORE', 'SWAPDB'])
    expect(groups.map(({ at }) => at)).toEqual([40])
  })

  it('leaves out what a slot has already, and nothing of others', () => {
    const done = (one: number): number => (one === slot('a') ? 30 : -1)
    const records = [
      packed(10, 'INCR', '{a}n'),
      packed(20, 'INCR', '{b}n'),
      record(30, 'DEL', '{a}n', '{b}n'),
      packed(40, 'INCR', '{a}n'),
    ]
    expect(groupsOf(records, done)).toEqual({
      refused: [],
      done: 2,
      groups: [
        { slot: slot('b'), at: 30, commands: ['INCR {b}n', 'DEL {b}n'] },
        { slot: slot('a'), at: 40, commands: ['INCR {a}n'] },
      ],
    })
  })

  it('refuses over several slots again, whatever they have', () => {
    expect(groupsOf([record(10, 'RENAME', '{a}1', '{b}1')], () => 99).refused).toEqual(['RENAME'])
  })

  it('does what has no place each time', () => {
    expect(groupsOf([record(undefined, 'PEXPIREAT', '{a}n', '9')], () => 99).groups).toEqual([
      { slot: slot('a'), at: undefined, commands: ['PEXPIREAT {a}n 9'] },
    ])
  })

  it('does again what comes behind what empties everything, whatever its slot has now', () => {
    // Repeated after a loss, the flush takes what the slot has with it.
    const { steps, done } = groupChanges(
      [packed(10, 'INCR', 'a'), packed(20, 'FLUSHALL'), packed(30, 'INCR', 'a')],
      () => 30,
    )
    expect([steps.map(({ kind }) => kind), done]).toEqual([['flush', 'groups'], 1])
  })

  it('is parted by what empties everything', () => {
    const { steps } = groupChanges(
      [packed(10, 'INCR', 'a'), packed(20, 'FLUSHALL'), packed(30, 'INCR', 'a'), packed(40, 'PUBLISH', 'c', 'm')],
      nothingDone,
    )
    expect(steps.map(({ kind }) => kind)).toEqual(['groups', 'flush', 'groups', 'keyless'])
  })
})

describe('what overwrites its key', () => {
  const alone = (...records: ChangeRecord[]): boolean[] => {
    const { steps } = groupChanges(records, nothingDone)
    return steps.flatMap((step) => (step.kind === 'groups' ? step.groups.map(({ overwrites }) => overwrites) : []))
  }

  it.each([
    ['SET', 'a', 'v'],
    ['DEL', 'a'],
    ['UNLINK', 'a'],
  ])('%s needs no place', (...words) => {
    expect(alone(packed(10, ...words), record(20, ...words))).toEqual([true])
  })

  it.each([
    ['SET', 'a', 'v', 'NX'],
    ['SET', 'a', 'v', 'KEEPTTL'],
    ['SET', 'a', 'v', 'PXAT', '9'],
    ['INCR', 'a'],
    ['PEXPIREAT', 'a', '9'],
    ['HSET', 'a', 'f', 'v'],
    ['DEL', '{a}1', '{a}2'],
  ])('%s %s %s %s needs one', (...words) => {
    expect(alone(packed(10, ...words))).toEqual([false])
    expect(alone(record(10, ...words))).toEqual([false])
  })

  it('needs one together with what does', () => {
    expect(alone(packed(10, 'SET', 'a', '1'), packed(20, 'INCR', 'a'), packed(30, 'SET', 'b', '1'))).toEqual([
      false,
      true,
    ])
  })
})

describe('commands for a slot on its way', () => {
  it('have ASKING before each, and once before a transaction', () => {
    const data = Buffer.concat(
      [['SET', 'a', 'multi'], ['MULTI'], ['INCR', 'a'], ['EXEC'], ['GET', 'a']].map((words) =>
        commandBytes(bytes(words)),
      ),
    )
    const asked = withAsking(data)
    const names = asked.data.toString().match(/(ASKING|SET|MULTI|INCR|EXEC|GET)(?=\r)/g)
    expect(names).toEqual(['ASKING', 'SET', 'ASKING', 'MULTI', 'INCR', 'EXEC', 'ASKING', 'GET'])
    expect(asked.places).toEqual([-1, 0, -1, 1, 2, 3, -1, 4])
  })
})
