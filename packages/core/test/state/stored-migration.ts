import type { MigrationStatus, StoredMigration } from '../../dist/index.js'

/** The status of a migration that follows its source. */
export function status(given: Partial<MigrationStatus> = {}): MigrationStatus {
  return {
    ...{ id: 'm', state: 'RUNNING', phase: 'LIVE_SYNC', source: 'redis://a', target: 'ferrite://b', mode: 'live' },
    ...{ capture: 'psync', apply: 'replay', startedAt: 1, updatedAt: 2, keysDone: 3, keysTotal: 4, keysFiltered: 0 },
    ...{ keysLeftOut: 0, keysKept: 0, valuesPassed: 0, bytesDone: 5, bytesTotal: null, changesApplied: 6 },
    ...{ changesFiltered: 0, changeBytes: 0, keysWritten: 3, keysSkipped: 0, keysDeleted: 0, keysFailed: 0, rate: 0 },
    ...{ lagKeys: 0, lagBytes: 0, lagMs: 0, spoolBytes: 0, inSync: true, etaMs: null, paused: false, cutoverAt: null },
    ...{ diverging: false, error: null },
    ...given,
  }
}

/** The row of a migration of this process. */
export function storedMigration(given: Partial<StoredMigration> = {}): StoredMigration {
  return {
    ...{ id: 'm', createdAt: 1, source: 'redis://a', target: 'ferrite://b', mode: 'live', pid: process.pid },
    ...{ heartbeatAt: 1, status: status(), config: '{}', facts: {}, epoch: 1, owner: 'one' },
    ...given,
  }
}
