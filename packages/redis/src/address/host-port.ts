import type { Address } from '@ferrite-migrate/contracts'

/** `host:port`, IPv6 in brackets. */
export function printAddress({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Reads `host:port`, IPv6 in brackets; null when it is none. Without a fallback the port has to be there. */
export function readAddress(text: string, fallbackPort?: number): Address | null {
  const match = /^(?:\[([0-9a-f:.]+(?:%[\w.-]+)?)\]|([^\s:[\]@/]+))(?::(\d{1,5}))?$/i.exec(text)
  if (match === null) return null
  const host = match[1] ?? match[2]
  const port = match[3] === undefined ? fallbackPort : Number(match[3])
  return port === undefined || port < 1 || port > 65_535 ? null : { host, port }
}
