import { isUtf8 } from 'node:buffer'
import { type DirtyKey, MigrateError } from '@ferrite-migrate/contracts'
import { BoundedRegExp, type RegExpMatch } from '../records/bounded-regexp.js'
import { RuleScope } from './rule-scope.js'
import type { KeyRuleSpec } from './transform-file.js'

/** One step of renaming. Names are bytes; nothing is copied where the name stays. */
export interface KeyRule {
  /** The new name, or the same Buffer. `original` is the name at the source, by which a rule may be limited. */
  apply(key: Buffer, db: number, original: Buffer): Buffer
  /** The same for a name that is valid UTF-8, as text. */
  applyText(name: string, original: DirtyKey): string
  /** What a key may have been called before this step; of no use where the rule is not traceable. */
  before(key: Buffer): readonly Buffer[]
  /** `before` tells all of them. */
  readonly traceable: boolean
  /** Two names never become one. */
  readonly injective: boolean
}

/** `before` and `after` around every name: the rule prefix, and the template "prefix:{key}". */
export class AffixRule implements KeyRule {
  readonly injective = true
  readonly traceable = true
  readonly head: Buffer
  readonly tail: Buffer
  private readonly headText: string
  private readonly tailText: string

  constructor(head: string, tail: string) {
    this.head = Buffer.from(head)
    this.tail = Buffer.from(tail)
    this.headText = head
    this.tailText = tail
  }

  applyText(name: string): string {
    return this.headText + name + this.tailText
  }

  apply(key: Buffer): Buffer {
    const { head, tail } = this
    const out = Buffer.allocUnsafe(head.length + key.length + tail.length)
    head.copy(out, 0)
    key.copy(out, head.length)
    tail.copy(out, head.length + key.length)
    return out
  }

  before(key: Buffer): readonly Buffer[] {
    const { head, tail } = this
    const end = key.length - tail.length
    return end >= head.length && key.subarray(0, head.length).equals(head) && key.subarray(end).equals(tail)
      ? [key.subarray(head.length, end)]
      : []
  }
}

class StripPrefixRule implements KeyRule {
  readonly injective = false
  readonly traceable = true
  private readonly prefix: Buffer
  private readonly text: string

  constructor(prefix: string) {
    this.prefix = Buffer.from(prefix)
    this.text = prefix
  }

  applyText(name: string): string {
    return name.startsWith(this.text) ? name.slice(this.text.length) : name
  }

  private has(key: Buffer): boolean {
    return key.length >= this.prefix.length && this.prefix.compare(key, 0, this.prefix.length) === 0
  }

  apply(key: Buffer): Buffer {
    return this.has(key) ? key.subarray(this.prefix.length) : key
  }

  before(key: Buffer): readonly Buffer[] {
    const long = Buffer.concat([this.prefix, key])
    return this.has(key) ? [long] : [key, long]
  }
}

/** Replaces the first match. Names that are UTF-8 are matched as text, others byte by byte. */
class RenameRule implements KeyRule {
  readonly injective = false
  readonly traceable = false
  private readonly text: { readonly from: BoundedRegExp; readonly to: Replacement }
  private readonly binary: { readonly from: BoundedRegExp; readonly to: Replacement }

  constructor(from: string, to: string) {
    this.text = { from: new BoundedRegExp(from), to: new Replacement(to) }
    const bytes = (text: string): string => Buffer.from(text).toString('latin1')
    this.binary = { from: new BoundedRegExp(bytes(from)), to: new Replacement(bytes(to)) }
  }

  apply(key: Buffer): Buffer {
    if (isUtf8(key)) {
      const name = key.toString('utf8')
      const renamed = this.applyText(name)
      return renamed === name ? key : Buffer.from(renamed)
    }
    const name = key.toString('latin1')
    const renamed = replaced(name, this.binary.from, this.binary.to)
    return renamed === name ? key : Buffer.from(renamed, 'latin1')
  }

  applyText(name: string): string {
    return replaced(name, this.text.from, this.text.to)
  }

  before(): readonly Buffer[] {
    return []
  }
}

function replaced(name: string, from: BoundedRegExp, to: Replacement): string {
  const match = from.match(name)
  if (match === null) return name
  const end = match.index + match[0].length
  return name.slice(0, match.index) + to.fill(match) + name.slice(end)
}

/** `$1` to `$99` are groups, `$0` and `$&` the whole match, `$$` a dollar. */
class Replacement {
  private readonly parts: readonly (string | number)[]
  /** The highest group that is used. */
  readonly groups: number

  constructor(text: string) {
    const parts: (string | number)[] = []
    let at = 0
    for (const found of text.matchAll(/\$(\d{1,2}|\$|&)/g)) {
      parts.push(text.slice(at, found.index))
      parts.push(found[1] === '$' ? '$' : found[1] === '&' ? 0 : Number(found[1]))
      at = found.index + found[0].length
    }
    parts.push(text.slice(at))
    this.parts = parts
    this.groups = Math.max(0, ...parts.filter((part) => typeof part === 'number'))
  }

  fill(match: RegExpMatch): string {
    let out = ''
    for (const part of this.parts) out += typeof part === 'string' ? part : (match[part] ?? '')
    return out
  }
}

/** A rule for some keys only: by their name at the source, or their database. */
class ScopedRule implements KeyRule {
  readonly injective = false
  readonly traceable: boolean
  private readonly rule: KeyRule
  private readonly scope: RuleScope

  constructor(rule: KeyRule, scope: RuleScope) {
    this.rule = rule
    this.scope = scope
    this.traceable = rule.traceable
  }

  apply(key: Buffer, db: number, original: Buffer): Buffer {
    return this.scope.takesKey(db, original) ? this.rule.apply(key, db, original) : key
  }

  applyText(name: string, original: DirtyKey): string {
    return this.scope.takesKey(original.db, original.key) ? this.rule.applyText(name, original) : name
  }

  before(key: Buffer): readonly Buffer[] {
    return [key, ...this.rule.before(key)]
  }
}

/** @throws MigrateError FM_TRANSFORM_INVALID */
export function keyRule(spec: KeyRuleSpec): KeyRule {
  const rule = plainRule(spec)
  const scope = new RuleScope(spec)
  return scope.open ? rule : new ScopedRule(rule, scope)
}

function plainRule(spec: KeyRuleSpec): KeyRule {
  switch (spec.type) {
    case 'prefix':
      return new AffixRule(spec.value, '')
    case 'strip_prefix':
      return new StripPrefixRule(spec.value)
    case 'rename': {
      const used = new Replacement(spec.to).groups
      const groups = countGroups(spec.from)
      if (used > groups)
        throw new MigrateError(
          'FM_TRANSFORM_INVALID',
          `"${spec.to}" uses group ${used}, and "${spec.from}" has ${groups}`,
          'Groups are counted by their opening parentheses.',
        )
      return new RenameRule(spec.from, spec.to)
    }
  }
}

/** Groups that capture. */
function countGroups(pattern: string): number {
  const plain = pattern.replace(/\\[\s\S]/g, '').replace(/\[[^\]]*\]/g, '')
  return [...plain.matchAll(/\((?!\?)|\(\?P?<(?![=!])/g)].length
}
