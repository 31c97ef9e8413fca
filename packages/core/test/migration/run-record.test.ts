import { describe, expect, it } from 'vitest'
import { type MigrationConfig, resolveConfig } from '../../dist/config/config.js'
import { silentLogger } from '../../dist/config/logger.js'
import { RunRecord } from '../../dist/migration/run-record.js'
import type { SharedJournal } from '../../dist/rollback/shared-journal.js'
import { StateStore } from '../../dist/state/state-store.js'
import { directory } from '../doubles.js'

/** Remembers what became of it. */
class FakeJournal implements SharedJournal {
  begun: boolean
  constructor(begun = false) {
    this.begun = begun
  }
  async begin(): Promise<void> {
    this.begun = true
  }
  async exists(): Promise<boolean> {
    return this.begun
  }
  async keep(): Promise<void> {}
  async *keys() {}
  async *entries() {}
  async drop(): Promise<void> {}
  async remove(): Promise<void> {
    this.begun = false
  }
}

async function recordOf(config: Partial<MigrationConfig> = {}, wasEmpty = false): Promise<RunRecord> {
  const state = directory()
  const whole = resolveConfig({ source: 'redis://s', target: 'redis://t', ...config })
  const record = new RunRecord('m', whole, state, new StateStore(state), silentLogger)
  await record.learnFacts(async () => wasEmpty)
  return record
}

describe('a journal that all machines share', () => {
  it('is begun once the run is taken, so that a refused one leaves none in the way of the next', async () => {
    const journal = new FakeJournal()
    const record = await recordOf()
    await record.share(journal)
    expect([record.isJournaled, journal.begun]).toEqual([true, false])
    await record.beginShared()
    expect(journal.begun).toBe(true)
    record.close()
    const again = await recordOf()
    await expect(again.share(journal)).rejects.toMatchObject({ code: 'FM_ID_TAKEN' })
    again.close()
  })

  it('is none where the target was empty, or nothing is to be kept', async () => {
    for (const record of [await recordOf({}, true), await recordOf({ undo: false })]) {
      const journal = new FakeJournal()
      await record.share(journal)
      await record.beginShared()
      expect([record.isJournaled, journal.begun]).toEqual([false, false])
      record.close()
    }
  })
})
