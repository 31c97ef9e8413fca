/** What a test framework gives a test that turns out not to apply; vitest's and node:test's contexts fit. */
export interface TestRun {
  skip(reason: string): void
}

/** The part of a test framework that the kit needs; vitest's, jest's and node:test's `describe` and `it` fit. */
export interface Framework {
  describe(name: string, body: () => void): void
  it(name: string, body: (run?: TestRun) => Promise<void>): void
}

/** A rule of docs/adapter-spec.md as a check: its name says what an adapter does that keeps it. */
export interface Check<T> {
  /** The rule's number in docs/adapter-spec.md. */
  readonly rule: string
  readonly name: string
  /** Why the check does not apply to this subject; null = it does. What only a run can tell calls `skip`. */
  skips?(subject: T): string | null
  /** @throws Error that says what is wrong */
  run(subject: T): Promise<void>
}

/** Ends a check that found out that it does not apply. */
export class Skipped extends Error {
  override readonly name = 'Skipped'
}

/** Ends the check that calls it: it does not apply. */
export function skip(reason: string): never {
  throw new Skipped(reason)
}

/** Fails a check with what was wrong. */
export function ensure(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what)
}

/**
 * Runs one check.
 * @returns why it does not apply; null = it does, and holds
 * @throws Error that says what is wrong
 */
export async function attempt<T>(check: Check<T>, subject: T): Promise<string | null> {
  const reason = check.skips?.(subject) ?? null
  if (reason !== null) return reason
  try {
    await check.run(subject)
    return null
  } catch (error) {
    if (error instanceof Skipped) return error.message
    throw error
  }
}

/** Frameworks that have no way to skip a running test: a check that was not made must not look as if it had passed. */
const LOUD: TestRun = {
  skip: (reason) => void process.stderr.write(`skipped: ${reason}\n`),
}

/** Runs checks under a test framework, each on a fresh subject. */
export function registerChecks<T>(
  framework: Framework,
  title: string,
  checks: readonly Check<T>[],
  make: () => Promise<T>,
  done: (subject: T) => Promise<void>,
): void {
  framework.describe(title, () => {
    // A default keeps the function's length at 0: some frameworks take a parameter for a callback.
    for (const check of checks)
      framework.it(`${check.rule} ${check.name}`, async (run = LOUD) => {
        const subject = await make()
        let reason: string | null
        try {
          reason = await attempt(check, subject)
        } finally {
          await done(subject)
        }
        if (reason !== null) run.skip(reason)
      })
  })
}
