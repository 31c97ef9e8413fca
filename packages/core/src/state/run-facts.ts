import type { MigrationStatus } from './status.js'

/** A row of the migrations table as commands see it. */
export interface StoredMigration {
  readonly id: string
  readonly createdAt: number
  readonly source: string
  readonly target: string
  readonly mode: string
  readonly pid: number
  readonly heartbeatAt: number
  readonly status: MigrationStatus
  /** The configuration without any secret, as JSON. */
  readonly config: string
  readonly facts: RunFacts
  /** How many processes have run it; each later one ends the earlier. */
  readonly epoch: number
  /** The process that runs it, or ran it last: no two are called the same. */
  readonly owner: string
}

/** The right to run a migration: it belongs to one process, until it expires without being renewed. */
export interface StoredLease {
  /** No two processes are called the same. */
  readonly owner: string
  /** How many processes have held it. */
  readonly epoch: number
  /** ms */
  readonly renewedAt: number
  readonly expiresAt: number
}

/** What an adapter changed at a server for the moment, and how it was before. */
export interface Loan {
  readonly id: number
  readonly migration: string
  /** Connection string without its password. */
  readonly server: string
  readonly what: string
  readonly former: string
  readonly at: number
  readonly owner: string
  /** Who the server is, whatever its address; empty = it did not say. */
  readonly identity: string
}

/** What a run found out at its start and a later one must know. */
export interface RunFacts {
  /** The target held none of this migration's keys. */
  readonly targetWasEmpty?: boolean
  /** Expiries may have been held back when the process ended. */
  readonly held?: boolean
  /** Source or target were opened with a password that is not stored. */
  readonly sourceSecret?: boolean
  readonly targetSecret?: boolean
  /** The undo journal holds what was there before. */
  readonly journal?: boolean
  /** A cutover made the target the one to write to. */
  readonly handedOver?: boolean
  /** The databases that are taken, and where they go, as the addresses of both ends name them. */
  readonly databases?: { readonly dbs: readonly number[]; readonly map: Readonly<Record<string, number>> }
  /** The stream of the source holds what only its keys tell. */
  readonly byKeys?: boolean
  /** Databases of the source that something came from. */
  readonly readDatabases?: readonly number[]
  /** Keys that a rollback left alone. */
  readonly rollbackKept?: number
  /** Fingerprint of the transform file and script. */
  readonly transform?: string
}

export interface Sample {
  readonly at: number
  readonly phase: string
  readonly keys: number
  readonly changes: number
  readonly rate: number
  readonly lagKeys: number | null
  readonly lagBytes: number | null
  readonly lagMs: number | null
}

/** One pass of an incremental migration. */
export interface Pass {
  readonly number: number
  readonly startedAt: number
  readonly endedAt: number
  /** `partial`: from the source's backlog; `full`: everything was compared. */
  readonly sync: 'full' | 'partial'
  readonly written: number
  readonly deleted: number
  readonly changes: number
}

export interface StoredEvent {
  readonly at: number
  readonly type: string
  readonly text: string
  readonly actor: string
}

/** An event with its place among all that were written: one that comes later has a greater number. */
export interface NumberedEvent extends StoredEvent {
  readonly number: number
}

/** The plan of a migration and what is kept of its report, each as JSON; null = none was written. */
export interface StoredDetails {
  readonly plan: string | null
  readonly report: string | null
}
