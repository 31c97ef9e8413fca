import { globMatch } from '@ferrite-migrate/protocol'

/** What limits a rule; as in transform.yaml. */
export interface ScopeSpec {
  readonly match?: string | readonly string[] | undefined
  readonly types?: readonly string[] | undefined
  readonly db?: number | readonly number[] | undefined
}

/** Which keys a rule is for. Names are those at the source. */
export class RuleScope {
  readonly open: boolean
  private readonly globs: readonly Buffer[]
  private readonly types: ReadonlySet<string> | null
  private readonly dbs: ReadonlySet<number> | null

  constructor({ match, types, db }: ScopeSpec) {
    this.globs = (match === undefined ? [] : [match].flat()).map((glob) => Buffer.from(glob))
    this.types = types === undefined ? null : new Set(types)
    this.dbs = db === undefined ? null : new Set([db].flat())
    this.open = this.globs.length === 0 && this.types === null && this.dbs === null
  }

  takesKey(db: number, key: Buffer): boolean {
    if (this.dbs !== null && !this.dbs.has(db)) return false
    return this.globs.length === 0 || this.globs.some((glob) => globMatch(glob, key))
  }

  takesType(type: string): boolean {
    return this.types === null || this.types.has(type)
  }

  /** True when the rule names types itself. */
  get namesTypes(): boolean {
    return this.types !== null
  }
}
