import { spawn } from 'node:child_process'
import { withoutSecrets } from '@ferrite-migrate/contracts'
import { postJson } from '../report/post-json.js'
import type { MigrationStatus } from '../state/status.js'

/** Bytes of a hook's output that are told. */
const TOLD = 300

/** What a hook is told of the migration. */
export type HookFacts = Pick<MigrationStatus, 'id' | 'source' | 'target' | 'keysDone' | 'changesApplied' | 'keysFailed'>

/** Asks a command or an address of the user's to move the traffic. */
export class CutoverHook {
  private readonly facts: Readonly<Record<string, string>>
  private readonly timeoutMs: number
  private readonly signal: AbortSignal

  /** @param signal ends the wait for an answer */
  constructor(facts: HookFacts, timeoutMs: number, signal: AbortSignal) {
    this.facts = {
      FERRITE_MIGRATE_ID: facts.id,
      FERRITE_MIGRATE_SOURCE: facts.source,
      FERRITE_MIGRATE_TARGET: facts.target,
      FERRITE_MIGRATE_KEYS: String(facts.keysDone),
      FERRITE_MIGRATE_CHANGES: String(facts.changesApplied),
      FERRITE_MIGRATE_FAILED: String(facts.keysFailed),
    }
    this.timeoutMs = timeoutMs
    this.signal = signal
  }

  /** Runs a command in the shell: null when it succeeded, else why not. */
  async command(command: string): Promise<string | null> {
    const { code, output } = await this.run(command)
    if (code === 0) return null
    const how = code === null ? `no answer within ${this.timeoutMs} ms` : `exit code ${code}`
    return `ended with ${how}${output === '' ? '' : `: ${output}`}`
  }

  /** Posts the facts as JSON: null when they were taken, else why not. */
  post(url: string): Promise<string | null> {
    const body = { event: 'cutover', ...this.facts }
    return postJson(url, body, AbortSignal.any([this.signal, AbortSignal.timeout(this.timeoutMs)]))
  }

  /** `code` is null when it took too long. Its output is cut. */
  private run(command: string): Promise<{ code: number | null; output: string }> {
    const { signal } = this
    return new Promise((resolve) => {
      const child = spawn(command, {
        shell: true,
        env: { ...withoutPasswords(process.env), ...this.facts },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      })
      let output = ''
      const keep = (data: Buffer): void => {
        output = (output + data.toString('utf8')).slice(-TOLD)
      }
      child.stdout.on('data', keep)
      child.stderr.on('data', keep)
      const kill = (): void => {
        // The shell's children too: they share its group.
        try {
          if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
        } catch {
          // It ended by itself in this moment.
        }
        resolve({ code: null, output: output.trim() })
      }
      const timer = setTimeout(kill, this.timeoutMs)
      signal.addEventListener('abort', kill, { once: true })
      const end = (code: number): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', kill)
        resolve({ code, output: output.trim() })
      }
      child.once('error', () => end(127))
      child.once('exit', (code) => end(code ?? 1))
    })
  }
}

/** A hook needs no password of the two ends, whatever the variable is called that holds it. */
function withoutPasswords(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).filter(
      ([name, value]) =>
        !/^FERRITE_MIGRATE_.*PASSWORD/.test(name) && (value === undefined || withoutSecrets(value) === value),
    ),
  )
}
