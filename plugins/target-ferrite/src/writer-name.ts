import type { AdapterContext } from '@ferrite-migrate/contracts'

/** The name under which a process writes: of several that share a migration each has its own below it. */
export function writerOf({ migration, worker }: Pick<AdapterContext, 'migration' | 'worker'>): string | undefined {
  return migration === undefined || worker === undefined ? migration : `${migration}:${worker}`
}
