/**
 * The memory that tells Python to stop, as Pyodide is to see it. Pyodide reads it and then clears it, and what was written in
 * between would be lost; here reading takes it, and clearing does nothing.
 */
export function interruptBuffer(shared: Uint8Array): Uint8Array {
  const { exchange } = Atomics
  return {
    get 0(): number {
      return exchange(shared, 0, 0)
    },
    set 0(_: number) {},
  } as unknown as Uint8Array
}
