/** The part of a test framework that the kit needs; vitest's, jest's and node:test's `describe` and `it` fit. */
export interface Framework {
  describe(name: string, body: () => void): void
  it(name: string, body: () => Promise<void>): void
}

/** A check of the kit: its name says what breaks it. */
export interface Check<T> {
  readonly name: string
  run(subject: T): Promise<void>
}

/** Fails a check with what was wrong. */
export function ensure(condition: boolean, what: string): void {
  if (!condition) throw new Error(what)
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
    for (const check of checks)
      framework.it(check.name, async () => {
        const subject = await make()
        try {
          await check.run(subject)
        } finally {
          await done(subject)
        }
      })
  })
}
