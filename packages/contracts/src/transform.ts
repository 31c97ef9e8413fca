import type { AdapterContext } from './context.js'
import type { DirtyKey } from './record.js'
import type { DecodedValue } from './value.js'

/** A key with its value decoded and held whole; all bytes are views that are valid during the call only. */
export interface DecodedRecord extends DirtyKey {
  readonly value: DecodedValue
  /** Absolute time in ms, 0 = none. */
  readonly expireAt: number
}

/**
 * Reshapes keys and values on their way. Each function takes a batch, so that a sandbox is crossed once; answers come in
 * the order of the questions, one for each. The same question must always get the same answer: a verification asks again.
 * An Error in place of an answer tells what is wrong with that one; a rejected promise ends the run.
 */
export interface Transform extends Partial<AsyncDisposable> {
  /** Names at the target; null leaves the key out. */
  keys?(keys: readonly DirtyKey[]): Promise<readonly (Buffer | null | Error)[]>
  /** Values of the same type; null leaves the key out. */
  values?(records: readonly DecodedRecord[]): Promise<readonly (DecodedValue | null | Error)[]>
  /** Single strings of bytes: string values, hash values, list elements. What a rule of transform.yaml works by. */
  items?(items: readonly Buffer[]): Promise<readonly (Buffer | Error)[]>
}

/** The module that a manifest names for a transform exports this as `createTransform`. */
export type CreateTransform = (context: AdapterContext) => Promise<Transform>
