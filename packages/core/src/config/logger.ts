import type { Logger, LogLevel } from '@ferrite-migrate/contracts'

const LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error']

/** The level that an environment asks for: FERRITE_MIGRATE_LOG, else RUST_LOG (`debug`, `ferrite_migrate=debug`). */
export function logLevelFrom(env: NodeJS.ProcessEnv): LogLevel | undefined {
  const text = env.FERRITE_MIGRATE_LOG ?? env.RUST_LOG
  const word = text
    ?.split(',')
    .map((part) => part.split('=').pop()!.trim().toLowerCase())
    .find((part) => LEVELS.includes(part as LogLevel))
  return word as LogLevel | undefined
}

/** Where lines go. */
export interface LogDestination {
  write(text: string): unknown
}

/** Numbers of levels as most readers of JSON logs know them. */
const NUMBERS: Readonly<Record<LogLevel, number>> = { trace: 10, debug: 20, info: 30, warn: 40, error: 50 }

/**
 * A logger that writes JSON lines: `level` (10 to 50), `time` (ms), the fields, `msg`. Ours, since a library for this line would be
 * a twelfth of a small installation.
 */
export function createLogger(level: LogLevel, destination: LogDestination): Logger {
  const enabled = (at: LogLevel): boolean => NUMBERS[at] >= NUMBERS[level]
  return {
    enabled,
    log: (at, text, fields) => {
      if (enabled(at))
        destination.write(
          `${JSON.stringify({ level: NUMBERS[at], time: Date.now(), ...fields, msg: text }, plainError)}\n`,
        )
    },
  }
}

/** An error has nothing that JSON would show. */
function plainError(_: string, value: unknown): unknown {
  return value instanceof Error ? { type: value.name, message: value.message, stack: value.stack } : value
}

const LONG_FIELD = 80

/** A logger whose lines people read: `06:09:18.206 debug  the source is Redis 7.0.15 (name=value)`. */
export function createReadableLogger(level: LogLevel, write: (line: string) => void): Logger {
  const enabled = (at: LogLevel): boolean => LEVELS.indexOf(at) >= LEVELS.indexOf(level)
  return {
    enabled,
    log: (at, text, fields = {}) => {
      if (!enabled(at)) return
      const told = Object.entries(fields).map(([name, value]) => {
        const shown = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
        return `${name}=${shown.length > LONG_FIELD ? `${shown.slice(0, LONG_FIELD)}…` : shown}`
      })
      const time = new Date().toISOString().slice(11, 23)
      write(`${time} ${at.padEnd(5)}  ${text}${told.length > 0 ? `  ${told.join(' ')}` : ''}`)
    },
  }
}

/** A logger that says nothing. */
export const silentLogger: Logger = { log: () => undefined, enabled: () => false }
