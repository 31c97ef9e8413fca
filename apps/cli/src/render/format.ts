/** Numbers as people read them. */
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

export function bar(share: number, width = 24): string {
  const filled = Math.max(0, Math.min(width, Math.floor(share * width)))
  return '█'.repeat(filled) + '░'.repeat(width - filled)
}

export const THICK = '═'.repeat(55)
export const THIN = '─'.repeat(53)
