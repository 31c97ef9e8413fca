import type { DecodedValue, ItemsValue, StreamValue } from '@ferrite-migrate/contracts'
import { scoreBits } from '@ferrite-migrate/protocol'
import { type Around, aroundDifference, type EncodedBytes, encodeBytes } from './encoded-bytes.js'

/** One part of a value that differs; a side that lacks it is null. */
export interface ElementDifference {
  /** What it is: `value`, `length`, `[3]`, `field`, `member`, `score`, `entry`, `last-id`, `group`, `pending`, `field-expiry`. */
  readonly part: string
  /** Which one: a field, a member, an entry id, a group and an id. */
  readonly name: EncodedBytes | null
  readonly source: EncodedBytes | null
  readonly target: EncodedBytes | null
  /** Where two long strings begin to differ; absent where they are seen whole. */
  readonly around?: Around
}

/** Parts shown of one value; all are counted. */
const SHOWN = 100

/** Collects parts that differ. */
class Parts {
  readonly list: ElementDifference[] = []
  count = 0

  add(part: string, name: Buffer | null, source: Buffer | string | null, target: Buffer | string | null): void {
    this.count++
    if (this.list.length >= SHOWN) return
    const encode = (value: Buffer | string | null): EncodedBytes | null =>
      value === null ? null : encodeBytes(Buffer.isBuffer(value) ? value : Buffer.from(value))
    const around = Buffer.isBuffer(source) && Buffer.isBuffer(target) ? aroundDifference(source, target) : null
    this.list.push({
      part,
      name: name === null ? null : encodeBytes(name),
      source: encode(source),
      target: encode(target),
      ...(around === null ? {} : { around }),
    })
  }
}

/** The parts in which two decoded values of one type differ, and how many there are in all. */
export function deepDifference(a: DecodedValue, b: DecodedValue): { parts: ElementDifference[]; count: number } {
  const parts = new Parts()
  if (a.form === 'stream' && b.form === 'stream') streams(a, b, parts)
  else if (a.form === 'items' && b.form === 'items') items(a, b, parts)
  return { parts: parts.list, count: parts.count }
}

function items(a: ItemsValue, b: ItemsValue, parts: Parts): void {
  switch (a.type) {
    case 'string':
      if (!a.items[0].equals(b.items[0])) parts.add('value', null, a.items[0], b.items[0])
      return
    case 'list': {
      if (a.items.length !== b.items.length) parts.add('length', null, String(a.items.length), String(b.items.length))
      for (let i = 0; i < Math.max(a.items.length, b.items.length); i++) {
        const left = a.items[i] ?? null
        const right = b.items[i] ?? null
        if (left === null || right === null || !left.equals(right)) parts.add(`[${i}]`, null, left, right)
      }
      return
    }
    case 'set':
      pairs(members(a.items, 1), members(b.items, 1), 'member', parts, (left, right) => left === null || right === null)
      return
    case 'zset':
      pairs(
        members(a.items, 2),
        members(b.items, 2),
        'score',
        parts,
        (left, right) => left === null || right === null || !scoreBits(left).equals(scoreBits(right)),
      )
      return
    default:
      pairs(
        members(a.items, 2),
        members(b.items, 2),
        'field',
        parts,
        (left, right) => left === null || right === null || !left.equals(right),
      )
      fieldExpiries(a, b, parts)
  }
}

/** Elements by name: `width` 1 = names alone, 2 = each with what follows it. */
function members(list: readonly Buffer[], width: 1 | 2): Map<string, { name: Buffer; value: Buffer }> {
  const map = new Map<string, { name: Buffer; value: Buffer }>()
  for (let i = 0; i < list.length; i += width)
    map.set(list[i].toString('latin1'), { name: list[i], value: list[i + width - 1] })
  return map
}

function pairs(
  a: ReturnType<typeof members>,
  b: ReturnType<typeof members>,
  part: string,
  parts: Parts,
  differ: (left: Buffer | null, right: Buffer | null) => boolean,
): void {
  for (const [key, { name, value }] of a) {
    const other = b.get(key)?.value ?? null
    if (differ(value, other)) parts.add(part, name, value, other)
  }
  for (const [key, { name, value }] of b) if (!a.has(key)) parts.add(part, name, null, value)
}

function fieldExpiries(a: ItemsValue, b: ItemsValue, parts: Parts): void {
  const times = (value: ItemsValue): Map<string, number> =>
    new Map(
      (value.fieldExpireAt ?? []).flatMap((at, i) =>
        at > 0 ? [[value.items[i * 2].toString('latin1'), at] as const] : [],
      ),
    )
  const left = times(a)
  const right = times(b)
  const text = (at: number | undefined): string | null => (at === undefined ? null : new Date(at).toISOString())
  for (const name of new Set([...left.keys(), ...right.keys()]))
    if (left.get(name) !== right.get(name))
      parts.add('field-expiry', Buffer.from(name, 'latin1'), text(left.get(name)), text(right.get(name)))
}

function streams(a: StreamValue, b: StreamValue, parts: Parts): void {
  const entries = (stream: StreamValue): Map<string, string> =>
    new Map(stream.entries.map(({ id, fields }) => [id, fields.map((field) => field.toString('latin1')).join('\0')]))
  compareTexts(entries(a), entries(b), 'entry', parts, (text) => Buffer.from(text.replaceAll('\0', ' '), 'latin1'))
  if (a.lastId !== b.lastId) parts.add('last-id', null, a.lastId, b.lastId)
  const groups = (stream: StreamValue): Map<string, string> =>
    new Map(stream.groups.map(({ name, lastId }) => [name.toString('latin1'), lastId]))
  compareTexts(groups(a), groups(b), 'group', parts, (text) => Buffer.from(text))
  const pending = (stream: StreamValue): Map<string, string> =>
    new Map(
      stream.groups.flatMap((group) =>
        group.pending.map(({ id, deliveryCount }) => {
          const owner = group.consumers.find((consumer) => consumer.pending.includes(id))?.name.toString('latin1') ?? ''
          return [`${group.name.toString('latin1')} ${id}`, `${owner}, delivered ${deliveryCount} times`] as const
        }),
      ),
    )
  compareTexts(pending(a), pending(b), 'pending', parts, (text) => Buffer.from(text, 'latin1'))
}

function compareTexts(
  a: ReadonlyMap<string, string>,
  b: ReadonlyMap<string, string>,
  part: string,
  parts: Parts,
  show: (text: string) => Buffer,
): void {
  for (const [name, value] of a) {
    const other = b.get(name)
    if (other !== value)
      parts.add(part, Buffer.from(name, 'latin1'), show(value), other === undefined ? null : show(other))
  }
  for (const [name, value] of b) if (!a.has(name)) parts.add(part, Buffer.from(name, 'latin1'), null, show(value))
}
