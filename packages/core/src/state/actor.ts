import { hostname, userInfo } from 'node:os'

/** Who does this, for the audit trail: user, machine, process. */
export function currentActor(): string {
  let user: string
  try {
    user = userInfo().username
  } catch {
    // A user without an entry in the system's list, as in many containers.
    user = `uid ${process.getuid?.() ?? '?'}`
  }
  return `${user}@${hostname()} pid ${process.pid}`
}
