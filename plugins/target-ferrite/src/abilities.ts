import type { TypedAbilities } from '@ferrite-migrate/protocol'

/** What the probes found out about a target, in the terms of the code that writes to it. */
export interface Abilities extends TypedAbilities {
  readonly product: string
  readonly rendering: 'restore' | 'ferrite-restore' | 'typed'
  /** Version written into RESTORE footers. */
  readonly rdbVersion: number
  /** RDB types that RESTORE takes and that then read back as their type. */
  readonly rdbTypes: ReadonlySet<number>
  readonly absoluteRestore: boolean
  readonly setPxat: boolean
  /** MULTI runs all or nothing, in the databases that SELECT chose inside it. */
  readonly atomicMulti: boolean
  readonly ttlSurvivesWrites: boolean
  readonly pushOrder: boolean
  readonly hyperLogLog: boolean
  readonly databases: boolean
  /** Upper-case names; null = the target does not say. */
  readonly commands: ReadonlySet<string> | null
}
