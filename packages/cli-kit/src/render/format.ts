export { formatBytes, formatCount, formatDuration } from '@ferrite-migrate/core'

export function bar(share: number, width = 24): string {
  const filled = Math.max(0, Math.min(width, Math.floor(share * width)))
  return '█'.repeat(filled) + '░'.repeat(width - filled)
}

export const THICK = '═'.repeat(55)
export const THIN = '─'.repeat(53)
