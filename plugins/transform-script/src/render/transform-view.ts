import type { DecodedValue } from '@ferrite-migrate/contracts'
import { encodeBytes, type PreviewedKey, printableKey } from '@ferrite-migrate/core'

const MIDDLE = ' │ '
const LEAST_COLUMNS = 60

/** Keys before and after, side by side. */
export function previewLines(keys: readonly PreviewedKey[], columns: number): string[] {
  const width = Math.floor((Math.max(columns, LEAST_COLUMNS) - MIDDLE.length) / 2)
  const row = (left: string, right: string): string => `${fit(left, width)}${MIDDLE}${fit(right, width).trimEnd()}`
  const rule = `${'─'.repeat(width + 1)}┼${'─'.repeat(width + 1)}`
  const lines = [row('BEFORE', 'AFTER'), rule]
  for (const { db, key, type, before, after, error } of keys) {
    const place = (name: Buffer, of: number): string => `${printableKey(name)}${of === 0 ? '' : ` (db ${of})`}`
    const left = `${place(key, db)}  [${type}]`
    if (error !== null) lines.push(row(left, 'ERROR'), row(valueText(before), error))
    else if (after === null) lines.push(row(left, '(left out)'), row(valueText(before), ''))
    else lines.push(row(left, place(after.key, after.db)), row(valueText(before), valueText(after.value)))
    lines.push(rule)
  }
  return lines
}

function fit(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width)
}

const part = (bytes: Buffer): string => printableKey(bytes)

function valueText(value: DecodedValue | null): string {
  if (value === null) return '(a value of a module)'
  if (value.form === 'stream') return value.entries.map(({ id, fields }) => `${id} {${pairs(fields)}}`).join(', ')
  switch (value.type) {
    case 'string':
      return part(value.items[0])
    case 'hash':
    case 'zset':
      return `{${pairs(value.items)}}`
    default:
      return `[${value.items.map(part).join(', ')}]`
  }
}

function pairs(items: readonly Buffer[]): string {
  const out: string[] = []
  for (let at = 0; at + 1 < items.length; at += 2) out.push(`${part(items[at])}: ${part(items[at + 1])}`)
  return out.join(', ')
}

/** One key for --json; bytes as text, or base64 where they are no UTF-8. */
export function previewJson({ db, key, type, before, after, error }: PreviewedKey): Record<string, unknown> {
  return {
    db,
    key: encodeBytes(key),
    type,
    before: before === null ? null : valueJson(before),
    after:
      after === null
        ? null
        : {
            db: after.db,
            key: encodeBytes(after.key),
            value: after.value === null ? null : valueJson(after.value),
          },
    error,
  }
}

function valueJson(value: DecodedValue): unknown {
  return value.form === 'stream'
    ? value.entries.map(({ id, fields }) => ({ id, fields: fields.map(encodeBytes) }))
    : value.items.map(encodeBytes)
}
