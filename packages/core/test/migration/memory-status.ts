import { type MigrationConfig, type ResolvedConfig, resolveConfig } from '../../dist/config/config.js'
import { silentLogger } from '../../dist/config/logger.js'
import { Gate } from '../../dist/engine/lanes/gate.js'
import { RunStatus } from '../../dist/migration/run-status.js'
import { Notifier } from '../../dist/report/notifier.js'

export const configOf = (given: Partial<MigrationConfig> = {}): ResolvedConfig =>
  resolveConfig({ source: 'redis://:secret@a', target: 'ferrite://b', mode: 'live', ...given })

/** A status that is written nowhere, and what it said. */
export function statusOf(given: Partial<MigrationConfig> = {}): {
  readonly status: RunStatus
  readonly gate: Gate
  readonly said: string[]
} {
  const config = configOf(given)
  const gate = new Gate(0)
  const said: string[] = []
  const listener = {
    progress: () => undefined,
    phase: (phase: string) => void said.push(phase),
    note: ({ type, text }: { type: string; text: string }) => void said.push(`${type}: ${text}`),
  }
  const notifier = new Notifier(config.notifications, silentLogger)
  const status = new RunStatus({ id: 'm', config, gate, notifier, logger: silentLogger, listener })
  return { status, gate, said }
}
