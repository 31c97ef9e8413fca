import { hostname, userInfo } from 'node:os'

/** What this machine is called: by FERRITE_MIGRATE_MACHINE where its host name says nothing, as in containers. */
export function machineName(): string {
  return process.env.FERRITE_MIGRATE_MACHINE ?? hostname()
}

/** Who does this, for the audit trail: user, machine, process. */
export function currentActor(): string {
  let user: string
  try {
    user = userInfo().username
  } catch {
    // A user without an entry in the system's list, as in many containers.
    user = `uid ${process.getuid?.() ?? '?'}`
  }
  return `${user}@${machineName()} pid ${process.pid}`
}
