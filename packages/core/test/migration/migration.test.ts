import type { MemoryStore } from '@ferrite-migrate/conformance'
import { until } from '@ferrite-migrate/servers'
import { afterEach, describe, expect, it } from 'vitest'
import { Migration, type MigrationConfig, Registry, StateStore } from '../../dist/index.js'
import { bytes, directory, names } from '../doubles.js'
import { memory } from '../memory-plugin/found.js'
import { sourceStore, targetStore } from '../memory-plugin/index.js'

const stateDir = directory()
let made = 0
const running: Migration[] = []
afterEach(async () => {
  for (const one of running.splice(0)) one.stop()
})

function migration(source: string, config: Partial<MigrationConfig> = {}): Migration {
  const one = new Migration(
    { source, target: 'memory://0', mode: 'snapshot', stateDir, id: `m${made++}`, ...config },
    { registry: new Registry([memory]) },
  )
  running.push(one)
  return one
}
/** What its row says, as another process sees it. */
function stored({ id }: Migration): { state: string; phase: string } {
  const store = new StateStore(stateDir)
  const { state, phase } = store.get(id).status
  store.close()
  return { state, phase }
}
const isLive = (one: Migration): Promise<void> => until(() => one.status().phase === 'LIVE_SYNC', 'both shards')
/** How far the first shard was written to. */
const counted = (store: MemoryStore): number => {
  const value = store.get(0, bytes('a:n'))?.value
  return value?.form === 'items' ? Number(value.items[0]) : 0
}
const arrived = (): string[] => names(targetStore().records.values()).sort()

describe('a migration', () => {
  it('copies everything, compares it, and reports', async () => {
    const one = migration('memory://20', { verify: true })
    const phases: string[] = []
    one.on('phase', (phase) => void phases.push(phase))
    const report = await one.start()
    expect(report.status).toMatchObject({
      state: 'COMPLETED',
      keysDone: 40,
      keysTotal: 40,
      keysWritten: 40,
      error: null,
    })
    expect(report.verification).toMatchObject({ equal: true, compared: 40 })
    expect([report.undoable, report.changesSinceVerification, report.rollback]).toEqual([true, 0, null])
    expect(phases).toEqual(['INITIAL_SYNC', 'VERIFYING', 'COMPLETED'])
    expect([one.isComplete(), stored(one), arrived().length]).toEqual([
      true,
      { state: 'COMPLETED', phase: 'COMPLETED' },
      40,
    ])
  })

  it('says what it would do, and writes nothing', async () => {
    const one = migration('memory://20')
    const plan = await one.dryRun()
    expect(plan).toMatchObject({ source: 'memory://20', mode: 'snapshot', apply: 'replay', keys: 40 })
    expect([arrived(), one.began]).toEqual([[], false])
  })

  it('does not begin where a check refuses it', async () => {
    const one = migration('memory://20,unfit')
    await expect(one.start()).rejects.toMatchObject({
      code: 'FM_PREFLIGHT_REFUSED',
      message: 'this memory is unfit',
      hint: expect.stringContaining('unfit'),
    })
    expect([one.began, one.status().state, arrived()]).toEqual([false, 'FAILED', []])
  })

  it('ends by itself when it has caught up, where that is asked for', async () => {
    const report = await migration('memory://5,writes', { mode: 'live', exit: true, verify: true }).start()
    expect(report.status.state).toBe('COMPLETED')
    expect(report.verification).toMatchObject({ equal: true, missingTarget: 0 })
  })

  it('that is stopped is interrupted, with what was read written and its places kept', async () => {
    const one = migration('memory://5,writes', { mode: 'live' })
    const over = one.start()
    await isLive(one)
    one.stop()
    expect((await over).status.state).toBe('INTERRUPTED')
    expect(stored(one).state).toBe('INTERRUPTED')
    const store = new StateStore(stateDir)
    expect([...store.positions(one.id).keys()].sort()).toEqual(['a', 'b'])
    store.close()
  })

  it('writes nothing while it is paused, and goes on from there', async () => {
    const one = migration('memory://5,writes', { mode: 'live' })
    const over = one.start()
    await isLive(one)
    one.pause()
    one.pause()
    const before = counted(sourceStore())
    await until(() => counted(sourceStore()) > before + 20, 'more changes at the source')
    // One that was on its way may be written, and nothing after it.
    expect(counted(targetStore())).toBeLessThanOrEqual(before + 2)
    expect(one.status().paused).toBe(true)
    one.resume()
    await until(() => counted(targetStore()) > before + 20, 'the same at the target')
    one.stop()
    const { notes } = await over
    expect(notes.filter(({ type }) => type === 'paused' || type === 'resumed').map(({ type }) => type)).toEqual([
      'paused',
      'resumed',
    ])
  })

  it('is switched over while it follows, and is then over', async () => {
    const one = migration('memory://5', { mode: 'live' })
    await expect(one.cutover({ fence: 'none' })).rejects.toMatchObject({ code: 'FM_CUTOVER_NOT_LIVE' })
    const over = one.start()
    await isLive(one)
    const steps: string[] = []
    const result = await one.cutover({ fence: 'none', verify: true }, ({ name }) => void steps.push(name))
    expect(result).toMatchObject({ fence: 'none', verification: { equal: true }, slipped: { keys: [], more: false } })
    expect(steps.at(-1)).toBe('done')
    expect((await over).status.state).toBe('COMPLETED')
    expect([one.callOff(), stored(one).state]).toEqual([false, 'COMPLETED'])
  })
})

describe('a migration that fails', () => {
  it('says why, here and in its row', async () => {
    const one = migration('memory://5,refuses')
    await expect(one.start()).rejects.toMatchObject({ code: 'FM_CONNECT_LOST', message: 'the memory is gone' })
    expect(one.report().status).toMatchObject({ state: 'FAILED', error: { code: 'FM_CONNECT_LOST' } })
    expect(stored(one).state).toBe('FAILED')
  })

  it('puts the target back where that is asked for', async () => {
    const one = migration('memory://5,breaks', { autoRollback: true })
    await expect(one.start()).rejects.toMatchObject({ code: 'FM_PLUGIN_FAULT' })
    expect([one.report().status.state, one.report().rollback?.kept, arrived()]).toEqual(['ROLLED_BACK', 0, []])
    expect(one.report().notes.map(({ type }) => type)).toContain('rolled-back')
  })
})
