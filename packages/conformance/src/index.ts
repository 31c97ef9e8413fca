import { type Framework, registerChecks } from './harness.js'
import { type SourceSubject, sourceChecks } from './source-kit.js'
import { type TargetSubject, targetChecks } from './target-kit.js'

export * from './harness.js'
export * from './memory.js'
export * from './samples.js'
export * from './source-kit.js'
export * from './target-kit.js'

/** Runs every check of a source; `make` gives a source that holds what it says. */
export function testSource(
  framework: Framework,
  name: string,
  make: () => Promise<SourceSubject>,
  done: (subject: SourceSubject) => Promise<void> = async ({ source }) => source[Symbol.asyncDispose](),
): void {
  registerChecks(framework, `source ${name}`, sourceChecks, make, done)
}

/** Runs every check of a target; `make` gives an empty one. */
export function testTarget(
  framework: Framework,
  name: string,
  make: () => Promise<TargetSubject>,
  done: (subject: TargetSubject) => Promise<void> = async ({ target }) => target[Symbol.asyncDispose](),
): void {
  registerChecks(framework, `target ${name}`, targetChecks, make, done)
}
