import { MemoryStore } from '@ferrite-migrate/conformance'
import { type Fence, MigrateError } from '@ferrite-migrate/contracts'
import { beforeEach, describe, expect, it } from 'vitest'
import { Cutover, type CutoverSubject } from '../../dist/cutover/cutover.js'
import { CUTOVER_DEFAULTS, type CutoverOptions } from '../../dist/cutover/cutover-options.js'
import { ChangeTrack } from '../../dist/engine/changes/change-track.js'
import { NO_TRANSFORM, RecordFilter } from '../../dist/index.js'
import { Verifier } from '../../dist/verify/verifier.js'
import { command, record } from '../doubles.js'

/** A migration between two stores in memory, whose stream is at a place that a test sets. */
class Subject implements CutoverSubject {
  readonly from = new MemoryStore()
  readonly to = new MemoryStore()
  readonly changes = new ChangeTrack()
  readonly frozen = new ChangeTrack()
  readonly steps: string[] = []
  readonly said: string[] = []
  readonly stopping = new AbortController()
  readonly signal = this.stopping.signal
  lossless = true
  lagKeys: number | null = 0
  lagBytes: number | null = 0
  /** Where the source is, and up to where the target has everything. */
  place = 10
  done = 10
  isFrozen = false
  isTracked = false
  isFenced = false
  fenceFails: Error | null = null
  releaseFails: Error | null = null
  fell = false
  kept = false
  /** What happens on the way, by the name of a step. */
  readonly on = new Map<string, () => void>()

  readonly source: CutoverSubject['source'] = {
    shards: [{ id: 's', covers: (position, mark) => Number(position) >= Number(mark) }],
    fence: async (kind, check) => {
      if (this.fenceFails !== null) throw this.fenceFails
      this.isFenced = !check
      return this.fence(kind === 'acl' ? 'acl' : 'pause')
    },
  }

  private fence(kind: Fence['kind']): Fence {
    return {
      kind,
      note: `writers are kept out (${kind})`,
      positions: async () => new Map([['s', String(this.place)]]),
      refresh: async () => undefined,
      fell: () => this.fell,
      keep: () => {
        this.kept = true
      },
      release: async () => {
        if (this.releaseFails !== null) throw this.releaseFails
        this.isFenced = false
      },
    }
  }

  status() {
    const { lagKeys, lagBytes } = this
    const facts = { id: 'm', source: 'redis://a', target: 'ferrite://b' }
    return { ...facts, keysDone: 7, changesApplied: 8, keysFailed: 9, lagKeys, lagBytes }
  }

  async readLag(): Promise<void> {
    this.on.get('lag read')?.()
  }

  applied(): string {
    return String(this.done)
  }

  settle(): Promise<void> {
    return Promise.resolve()
  }

  async track(): Promise<ChangeTrack> {
    this.isTracked = true
    return this.changes
  }

  async untrack(): Promise<void> {
    this.isTracked = false
  }

  async mustKeep(): Promise<void> {
    this.on.get('keep')?.()
  }

  async freeze(): Promise<ChangeTrack> {
    this.isFrozen = true
    return this.frozen
  }

  async thaw(): Promise<void> {
    this.isFrozen = false
  }

  seen(_: string, position: string): boolean {
    return this.place >= Number(position)
  }

  withVerifier: CutoverSubject['withVerifier'] = (rounds, use) =>
    use(
      new Verifier(this.from.reader(), this.to.reader(), {
        ...{ filter: new RecordFilter({}), transform: NO_TRANSFORM, digest: {}, ttlToleranceMs: 1000 },
        ...{ rounds, pauseMs: 1, signal: this.signal },
      }),
    )

  async repair(): Promise<void> {
    for (const one of this.from.records.values()) this.to.set(one)
  }

  step({ name, text }: { name: string; text: string }): void {
    this.steps.push(name)
    this.said.push(text)
    this.on.get(name)?.()
  }
}

let subject: Subject
beforeEach(() => {
  subject = new Subject()
  for (const key of ['a', 'b']) {
    subject.from.set(record(key))
    subject.to.set(record(key))
  }
})

const cutover = (options: Partial<CutoverOptions> = {}): Cutover =>
  new Cutover(subject, { ...CUTOVER_DEFAULTS, timeoutMs: 2000, ...options })
const asIfNothing = { isFenced: false, isFrozen: false, isTracked: false }

describe('a cutover', () => {
  it('goes step by step, and leaves the fence up until it is released', async () => {
    const one = cutover({ verify: true, hook: 'exit 0' })
    const result = await one.run()
    expect(subject.steps).toEqual(['lag', 'verify', 'lag', 'fence', 'drain', 'verify', 'hook', 'done'])
    expect(subject).toMatchObject({ isFenced: true, isFrozen: true, isTracked: false })
    expect(result).toMatchObject({
      ...{ dryRun: false, fence: 'pause', slipped: { keys: [], more: false } },
      verification: { equal: true, compared: 2, matching: 2 },
    })
    expect(result.downtimeMs).toBeGreaterThanOrEqual(0)
    await one.hold(result, subject.signal)
    expect([subject.isFenced, subject.steps.at(-1)]).toEqual([false, 'release'])
  })

  it('tries everything without changing anything', async () => {
    subject.lagKeys = 5000
    const result = await cutover({ dryRun: true, verify: true, hook: 'exit 1' }).run()
    expect(subject.steps).toEqual(['lag', 'failures', 'verify', 'fence', 'drain', 'hook', 'done'])
    expect(subject.said[1]).toMatch(/refused by the target/)
    expect(subject.said[0]).toBe('5,000 keys (0 bytes) behind; at most 100 are allowed')
    expect(subject).toMatchObject(asIfNothing)
    expect(result).toEqual({
      ...{ dryRun: true, downtimeMs: null, fence: 'pause', verification: null, slipped: { keys: [], more: false } },
    })
  })

  it('waits until the lag is small enough', async () => {
    subject.lagKeys = 101
    let looks = 0
    subject.on.set('lag read', () => {
      if (++looks === 3) subject.lagKeys = 100
    })
    await cutover().run()
    expect([looks, subject.said[0]]).toEqual([3, '100 keys behind, at most 100 are allowed'])
  })

  it('is called off when the lag stays, or nobody knows it', async () => {
    subject.lagKeys = 101
    await expect(cutover({ timeoutMs: 30 }).run()).rejects.toMatchObject({
      code: 'FM_CUTOVER_LAG',
      message: '101 keys are behind, more than 100',
    })
    subject.lagKeys = null
    await expect(cutover({ timeoutMs: 30 }).run()).rejects.toMatchObject({ code: 'FM_CUTOVER_LAG' })
    expect(subject).toMatchObject(asIfNothing)
  })

  it('does not begin where both ends differ, but for what is changing', async () => {
    subject.from.set(record('a', 'new'))
    await expect(cutover({ verify: true }).run()).rejects.toMatchObject({
      code: 'FM_VERIFY_DIFFERENCES',
      message: '1 key differs: a (the string differs)',
    })
    expect(subject.steps).not.toContain('fence')
    // The same key is being written: it is looked at again behind the fence.
    subject.changes.add(command('SET', 'a', 'new'))
    subject.on.set('fence', () => subject.to.set(record('a', 'new')))
    const result = await cutover({ verify: true }).run()
    expect(result.verification).toMatchObject({ equal: true, compared: 2, matching: 2, mismatched: 0, differences: [] })
    expect(subject.said).toContain('2 keys compared before the fence: equal but for 1 that are changing')
    expect(subject.said).toContain('1 key that changed meanwhile compared: equal')
  })

  it('waits behind the fence until all of before it is applied', async () => {
    subject.done = 9
    let looks = 0
    const applied = subject.applied.bind(subject)
    subject.applied = () => {
      if (++looks === 4) subject.done = 10
      return applied()
    }
    await cutover().run()
    expect(looks).toBeGreaterThanOrEqual(4)
    expect(subject.said).toContain('everything up to the fence is applied, and the source stands still')
  })
})

describe('a cutover that fails', () => {
  /** The fence was up, is down again, and the migration goes on. */
  async function expectCalledOff(one: Promise<unknown>, code: string): Promise<void> {
    await expect(one).rejects.toMatchObject({ code })
    expect(subject.steps).toContain('fence')
    expect(subject.said.at(-1)).toBe('the fence is down (called off)')
    expect(subject).toMatchObject(asIfNothing)
  }

  it('for the target does not catch up', async () => {
    subject.done = 9
    await expectCalledOff(cutover({ timeoutMs: 30 }).run(), 'FM_CUTOVER_DRAIN')
  })

  it('for keys are still on their way between shards, which no stream has any more', async () => {
    let left = 3
    const unsettled = Object.assign(subject, { unsettled: () => left })
    await expectCalledOff(cutover().run(), 'FM_CUTOVER_DRAIN')
    left = 0
    unsettled.steps.length = 0
    await expect(cutover().run()).resolves.toMatchObject({ dryRun: false })
  })

  it('for the source is written to behind the fence', async () => {
    subject.applied = () => {
      subject.place++
      return String(subject.place)
    }
    await expectCalledOff(cutover().run(), 'FM_FENCE_LEAKS')
  })

  it('for the target keeps nothing', async () => {
    subject.on.set('keep', () => {
      throw new MigrateError('FM_TARGET_KEEPS_NOTHING', 'it is empty', 'Look.')
    })
    await expect(cutover().run()).rejects.toMatchObject({ code: 'FM_TARGET_KEEPS_NOTHING' })
    // Writers were never kept out for it.
    expect(subject.steps).not.toContain('fence')
    expect(subject).toMatchObject(asIfNothing)
  })

  it('for the last keys differ', async () => {
    subject.changes.add(command('SET', 'a', 'new'))
    subject.on.set('fence', () => subject.from.set(record('a', 'new')))
    await expectCalledOff(cutover().run(), 'FM_VERIFY_DIFFERENCES')
    expect(subject.said).toContain('the last key compared: different')
  })

  it.each([
    ['exit 3', 'the hook ended with exit code 3'],
    ['echo it hurts; exit 1', 'the hook ended with exit code 1: it hurts'],
    ['sleep 60', 'the hook ended with no answer within 500 ms'],
  ])('for the hook %j does', async (hook, message) => {
    const failed = cutover({ hook, hookTimeoutMs: 500 }).run()
    await expectCalledOff(failed, 'FM_CUTOVER_HOOK')
    await expect(failed).rejects.toMatchObject({ message })
  })

  it('for it is called off, as long as the traffic is not moved', async () => {
    const one = cutover({ hook: 'exit 0' })
    subject.on.set('drain', () => {
      expect(one.callOff()).toBe(true)
    })
    await expectCalledOff(one.run(), 'FM_CUTOVER_CALLED_OFF')
    const late = cutover({ hook: 'exit 0' })
    subject.on.delete('drain')
    subject.on.set('hook', () => {
      expect(late.callOff()).toBe(false)
    })
    expect((await late.run()).dryRun).toBe(false)
  })

  it('for the process is to stop', async () => {
    subject.on.set('drain', () => subject.stopping.abort())
    await expectCalledOff(cutover().run(), 'FM_INTERRUPTED')
  })

  it('goes on following the source also where the fence cannot be taken down', async () => {
    subject.releaseFails = new Error('no connection')
    await expect(cutover({ hook: 'exit 1' }).run()).rejects.toThrow('no connection')
    expect(subject).toMatchObject({ isFenced: true, isFrozen: false, isTracked: false })
  })

  it('changes nothing where there is no fence', async () => {
    subject.fenceFails = new MigrateError('FM_FENCE_UNAVAILABLE', 'no rights', 'Ask.')
    await expect(cutover().run()).rejects.toMatchObject({ code: 'FM_FENCE_UNAVAILABLE' })
    expect(subject).toMatchObject(asIfNothing)
  })
})

describe('behind a fence', () => {
  it('writes that slipped through are named', async () => {
    const one = cutover()
    const result = await one.run()
    for (let i = 0; i < 25; i++) subject.frozen.add(command('SET', `late:${i}`, 'v'))
    const { slipped } = await one.hold(result, subject.signal)
    expect([slipped.keys.length, slipped.keys.at(-1), slipped.more]).toEqual([20, 'late:24', true])
    expect(subject.steps.slice(-2)).toEqual(['slipped', 'release'])
  })

  it('a fence that fell is told of, also where nothing was written', async () => {
    subject.fell = true
    const result = await cutover().run()
    expect([result.slipped, subject.said.at(-1)]).toEqual([
      { keys: [], more: false },
      'the fence was down for a while, since this process stood still; nothing was written meanwhile',
    ])
  })

  it('it stays up where that was asked for, by a rule that outlives the process', async () => {
    const one = cutover({ afterCutover: 'keep-fence' })
    const result = await one.run()
    expect(result.fence).toBe('acl')
    await one.hold(result, subject.signal)
    await one.release()
    expect([subject.isFenced, subject.kept]).toEqual([true, true])
  })

  it('a source that loses changes is compared whole, and mended', async () => {
    subject.lossless = false
    subject.from.set(record('missed'))
    const result = await cutover().run()
    expect([result.verification?.equal, result.verification?.compared, subject.to.records.size]).toEqual([true, 3, 3])
  })
})

describe('without a fence', () => {
  it('only silence tells that nothing comes any more', async () => {
    subject.lagBytes = 10
    let looks = 0
    subject.on.set('lag read', () => {
      if (++looks === 5) subject.lagBytes = 0
    })
    const result = await cutover({ fence: 'none', timeoutMs: 10_000 }).run()
    expect([result.fence, result.downtimeMs, subject.isFenced]).toEqual(['none', null, false])
    expect(subject.said).toContain('nothing came for 1500 ms')
  })
})
