import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/** Which process of which machine runs something: a pid alone is another process tomorrow, or in the next container. */
export interface ProcessIdentity {
  readonly pid: number
  /** The machine since it was started, and the namespace in which the pid counts. */
  readonly host: string
  /** When the process began, in the machine's own count; empty = it does not tell. */
  readonly startedAt: string
}

/** This process. */
export function currentProcess(): ProcessIdentity {
  return { pid: process.pid, host: hostIdentity(), startedAt: startOf(process.pid) }
}

/**
 * True when the process is certainly gone; false = it lives, or nobody can tell from here (another machine, another
 * container), and only the end of its lease tells.
 */
export function isGone({ pid, host, startedAt }: ProcessIdentity): boolean {
  if (host !== hostIdentity()) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return true
  }
  const now = startOf(pid)
  // Somebody else has got its number since.
  return startedAt !== '' && now !== '' && now !== startedAt
}

let host: string | undefined

function hostIdentity(): string {
  host ??= linuxHost() ?? hostname()
  return host
}

function linuxHost(): string | null {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return null
  }
}

/** Field 22 of /proc/PID/stat: clock ticks since the machine was started. The name before it may hold spaces and brackets. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}
