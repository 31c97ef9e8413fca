import { setFlagsFromString } from 'node:v8'
import { MigrateError } from '@ferrite-migrate/contracts'
import { RE2JS } from 're2js'

/** Steps back that a backtracking match may take before V8 goes on in linear time. */
const BACKTRACKS = 10_000

/** One match: where it starts, and the text of each group (0 = all of it). */
export interface RegExpMatch extends ReadonlyArray<string | undefined> {
  readonly 0: string
  readonly index: number
}

let prepared = false

/** V8 matches by backtracking, which is fast, and falls back to its linear engine where that would take long. */
function linearByV8(pattern: string): RegExp | null {
  if (!prepared) {
    setFlagsFromString('--enable-experimental-regexp-engine')
    setFlagsFromString('--enable-experimental-regexp-engine-on-excessive-backtracks')
    setFlagsFromString(`--regexp-backtracks-before-fallback=${BACKTRACKS}`)
    prepared = true
  }
  try {
    // Only what the linear engine can execute has it to fall back to.
    new RegExp(pattern, 'ls')
    return new RegExp(pattern, 's')
  } catch {
    return null
  }
}

/**
 * A regular expression that cannot hang: its time is linear in the text, whatever pattern and text are. Patterns that need
 * backtracking (back references, look-around) are refused.
 */
export class BoundedRegExp {
  private readonly find: (text: string) => RegExpMatch | null

  /** @throws MigrateError FM_TRANSFORM_INVALID */
  constructor(pattern: string) {
    const native = linearByV8(pattern)
    if (native !== null) {
      this.find = (text) => native.exec(text)
      return
    }
    let compiled: RE2JS
    try {
      compiled = RE2JS.compile(pattern, RE2JS.DOTALL)
    } catch (cause) {
      throw new MigrateError(
        'FM_TRANSFORM_INVALID',
        `the regular expression "${pattern.slice(0, 100)}" cannot be used: ${(cause as Error).message}`,
        'Back references and look-around are not supported, since their time cannot be bounded.',
        { cause },
      )
    }
    this.find = (text) => {
      const matcher = compiled.matcher(text)
      if (!matcher.find()) return null
      const groups: (string | undefined)[] = []
      for (let i = 1; i <= matcher.groupCount(); i++) groups.push(matcher.group(i) ?? undefined)
      return Object.assign([matcher.group(0) ?? '', ...groups] as const, { index: matcher.start(0) })
    }
  }

  /** The first match. */
  match(text: string): RegExpMatch | null {
    return this.find(text)
  }

  test(text: string): boolean {
    return this.find(text) !== null
  }
}
