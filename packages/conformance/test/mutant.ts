/** An adapter that is broken on purpose. */
export interface Mutant<T> {
  /** The name of the check that must find it. */
  readonly breaks: string
  /** What is wrong with it. */
  readonly by: string
  make(): T
}
