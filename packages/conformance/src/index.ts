import { type AddressSubject, addressChecks } from './address-kit.js'
import { type Framework, registerChecks } from './harness.js'
import { sourceChecks } from './source-kit.js'
import type { SourceSubject } from './source-subject.js'
import { targetChecks } from './target-kit.js'
import type { TargetSubject } from './target-subject.js'
import { type TransformSubject, transformChecks } from './transform-kit.js'

export * from './address-kit.js'
export * from './harness.js'
export * from './memory-cluster.js'
export { runCommand } from './memory-commands.js'
export * from './memory-source.js'
export * from './memory-store.js'
export * from './memory-target.js'
export { checkReader, type ReaderSubject, readerRules } from './reader-rules.js'
export * from './samples.js'
export * from './source-kit.js'
export * from './target-kit.js'
export * from './test-context.js'
export * from './transform-kit.js'

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

/** Runs every check of how an adapter finds its servers. */
export function testAddress(framework: Framework, name: string, make: () => Promise<AddressSubject>): void {
  registerChecks(framework, `address ${name}`, addressChecks, make, async () => undefined)
}

/** Runs every check of a transform; `make` gives one that has been set up. */
export function testTransform(
  framework: Framework,
  name: string,
  make: () => Promise<TransformSubject>,
  done: (subject: TransformSubject) => Promise<void> = async ({ transform }) => transform[Symbol.asyncDispose]?.(),
): void {
  registerChecks(framework, `transform ${name}`, transformChecks, make, done)
}
