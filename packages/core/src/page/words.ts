import { printable } from '@ferrite-migrate/contracts'
import type { FilterConfig } from '../config/config.js'
import type { StoredEvent } from '../state/run-facts.js'

/** `1,234`. */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** `12m 34s`, `1h 2m`, `3.4s`, `120ms`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m ${seconds % 60}s`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours}h ${minutes % 60}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`
}

/** `2026-11-28 06:09:01`, UTC. */
export function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').slice(0, 19)
}

/** How changes are learned, in words. */
export function captureText(capture: string): string {
  if (capture === 'psync') return 'by replication (PSYNC)'
  if (capture === 'notifications') return 'by keyspace notifications'
  if (capture === 'polling') return 'by comparing again'
  return capture === 'file' ? 'from the file' : capture
}

/** What a finding means, by its level. */
export function levelText(level: string): string {
  return level === 'info' ? 'note' : level === 'warn' ? 'warning' : 'refused'
}

/** How they reach the target, in words. */
export function applyText(apply: string): string {
  if (apply === 'replay') return 'the commands themselves are replayed'
  return apply === 'state' ? 'changed keys are read again and written whole' : apply
}

const PHASES: Readonly<Record<string, string>> = {
  PREFLIGHT: 'checking both ends',
  INITIAL_SYNC: 'first copy',
  LIVE_SYNC: 'following the source',
  VERIFYING: 'comparing both ends',
  CUTOVER: 'switching over',
  ROLLING_BACK: 'putting the target back',
  WAITING: 'waiting for the next pass',
  STOPPING: 'stopping',
}

/** What a phase means. */
export function phaseWords(phase: string): string {
  return PHASES[phase] ?? phase.toLowerCase().replaceAll('_', ' ')
}

/** What a filter takes, part by part; nothing = everything. */
export function filterWords(filter: FilterConfig): string[] {
  const { include, exclude, includeRegex, excludeRegex, types, dbs, expiry, slots } = filter
  const { minSize, maxSize, minTtlMs, maxTtlMs } = filter
  return [
    ...include.map((pattern) => `include ${pattern}`),
    ...exclude.map((pattern) => `exclude ${pattern}`),
    ...includeRegex.map((pattern) => `include /${pattern}/`),
    ...excludeRegex.map((pattern) => `exclude /${pattern}/`),
    ...(minSize === undefined ? [] : [`values from ${formatBytes(minSize)}`]),
    ...(maxSize === undefined ? [] : [`values to ${formatBytes(maxSize)}`]),
    ...(minTtlMs === undefined ? [] : [`living at least ${formatDuration(minTtlMs)} more`]),
    ...(maxTtlMs === undefined ? [] : [`living at most ${formatDuration(maxTtlMs)} more`]),
    ...(slots.length > 0 ? [`slots ${slots.join(', ')}`] : []),
    ...(types.length > 0 ? [`types ${types.join(', ')}`] : []),
    ...(dbs.length > 0 ? [`databases ${dbs.join(', ')}`] : []),
    ...(expiry === 'any' ? [] : [`only ${expiry} keys`]),
  ]
}

/** An event of the audit trail as a sentence. */
export function eventText({ type, text }: Pick<StoredEvent, 'type' | 'text'>): string {
  if (type === 'phase') return `entered ${text} (${phaseWords(text)})`
  const time = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text) ? text.replace(/\.\d+Z$/, 'Z') : null
  if (type === 'cutover-scheduled' && time !== null) return `a cutover is scheduled for ${time}`
  return printable(text)
}
