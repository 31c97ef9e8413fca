import type { Logger, LogLevel } from '@ferrite-migrate/contracts'
import type { DestinationStream } from 'pino'

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

/** A logger that writes JSON lines. Loads pino only when somebody wants a log: a migration counts its megabytes. */
export async function createLogger(level: LogLevel, destination: DestinationStream): Promise<Logger> {
  const { pino } = await import('pino')
  const log = pino({ level, base: null }, destination)
  return {
    log: (at, text, fields) => log[at](fields ?? {}, text),
    enabled: (at) => LEVELS.indexOf(at) >= LEVELS.indexOf(level),
  }
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
