import { currentProcess, machineName, type ProcessIdentity } from '@ferrite-migrate/core'

/** Who holds a migration: one process, in front of one copy of the shared directory. */
export interface Place extends ProcessIdentity {
  readonly uid: string
  /** As people know the machine. */
  readonly name: string
  readonly directory: string
}

export function placeOf(uid: string, directory: string): Place {
  return { ...currentProcess(), uid, name: machineName(), directory }
}

/** True for a process that shares its copy of the directory with this one: what is asked there is found here. */
export function sharesDirectory(one: Place, other: Place): boolean {
  return one.host === other.host && one.directory === other.directory
}
