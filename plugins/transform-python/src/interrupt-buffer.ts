/**
 * The memory that tells Python to stop, as Pyodide is to see it. Pyodide reads it and then clears it, and what was written in
 * between would be lost; here reading takes it, and clearing does nothing.
 */
export function interruptBuffer(shared: Uint8Array): Uint8Array {
  const { exchange } = Atomics
  // A proxy would be looked through at every look of Python, which is several thousand a second.
  return Object.create(Uint8Array.prototype, {
    0: { get: () => exchange(shared, 0, 0), set: () => undefined },
  })
}
