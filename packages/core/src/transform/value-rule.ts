import type { DecodedValue, ItemsValue, StreamEntry, StreamValue } from '@ferrite-migrate/contracts'
import { globMatch } from '@ferrite-migrate/protocol'
import { convert } from './conversion.js'
import { RuleScope } from './rule-scope.js'
import type { ValueRuleSpec } from './transform-file.js'

/** Types whose strings a rule changes when it names none. */
const USUAL_TYPES = new Set(['string', 'hash', 'list'])

export type ItemFunction = (items: readonly Buffer[]) => Promise<readonly (Buffer | Error)[]>

/** One string of bytes inside a value: by its position, and for streams by its entry. */
interface Part {
  readonly entry: number
  readonly at: number
}

/** One rule of transform.yaml under `values`: which strings of which values, and what becomes of them. */
export class ValueRule {
  readonly scope: RuleScope
  /** Takes strings by the batch; an Error stands for one that cannot be transformed. */
  readonly apply: ItemFunction
  private readonly path: string | null
  private readonly glob: Buffer

  constructor(spec: ValueRuleSpec, apply: ItemFunction) {
    this.scope = new RuleScope(spec)
    this.apply = apply
    this.path = spec.path === undefined ? null : String(spec.path)
    this.glob = Buffer.from(this.path ?? '*')
  }

  takes(db: number, key: Buffer, type: string): boolean {
    const typed = this.scope.namesTypes ? this.scope.takesType(type) : USUAL_TYPES.has(type)
    return typed && this.scope.takesKey(db, key)
  }

  /** The strings that this rule is for. */
  parts(value: DecodedValue): Part[] {
    if (value.form === 'stream')
      return value.entries.flatMap(({ fields }, entry) => this.named(fields).map((at) => ({ entry, at })))
    const whole = (at: number): Part => ({ entry: -1, at })
    switch (value.type) {
      case 'string':
        return [whole(0)]
      case 'hash':
        return this.named(value.items).map(whole)
      case 'list': {
        const { path } = this
        if (path === null || path === '*') return value.items.map((_, at) => whole(at))
        const index = Number(path)
        const at = index < 0 ? value.items.length + index : index
        return at >= 0 && at < value.items.length ? [whole(at)] : []
      }
      case 'set':
        return value.items.map((_, at) => whole(at))
      case 'zset':
        return value.items.flatMap((_, at) => (at % 2 === 0 ? [whole(at)] : []))
    }
  }

  /** Positions of the values of the fields that the path names. */
  private named(fields: readonly Buffer[]): number[] {
    const found: number[] = []
    for (let at = 0; at + 1 < fields.length; at += 2)
      if (this.path === null || globMatch(this.glob, fields[at])) found.push(at + 1)
    return found
  }
}

/** Why a path cannot be what it is; null = it can. */
export function pathFault({ path, types }: ValueRuleSpec): string | null {
  if (path === undefined) return null
  const of = types ?? ['hash']
  const odd = of.find((type) => type === 'string' || type === 'set' || type === 'zset')
  if (odd !== undefined) return `a ${odd} has no parts that a path could name`
  if (of.includes('list') && !/^(-?\d+|\*)$/.test(String(path))) return 'a list element is named by its index'
  return null
}

/** The item function of a rule `convert`. */
export function conversion(spec: Extract<ValueRuleSpec, { type: 'convert' }>): ItemFunction {
  return async (items) =>
    items.map((item) => {
      try {
        return convert(item, spec.from, spec.to)
      } catch (error) {
        return error as Error
      }
    })
}

/**
 * A value with some of its strings replaced; the same value when all of them are as before.
 * @throws Error when members of a set become one
 */
export function withParts(value: DecodedValue, parts: readonly Part[], strings: readonly Buffer[]): DecodedValue {
  const original = ({ entry, at }: Part): Buffer =>
    value.form === 'stream' ? value.entries[entry].fields[at] : value.items[at]
  if (parts.every((part, i) => strings[i].equals(original(part)))) return value
  if (value.form === 'stream') {
    const fields = value.entries.map((entry) => [...entry.fields])
    for (const [i, { entry, at }] of parts.entries()) fields[entry][at] = strings[i]
    const entries = value.entries.map(({ id }, i): StreamEntry => ({ id, fields: fields[i] }))
    return { ...value, entries } satisfies StreamValue
  }
  const items = [...value.items]
  for (const [i, { at }] of parts.entries()) items[at] = strings[i]
  if (value.type === 'set' || value.type === 'zset') {
    const step = value.type === 'set' ? 1 : 2
    const members = new Set<string>()
    for (let at = 0; at < items.length; at += step) members.add(items[at].toString('latin1'))
    if (members.size * step < items.length) throw new Error(`two members of the ${value.type} become one`)
  }
  return { ...value, items } satisfies ItemsValue
}
