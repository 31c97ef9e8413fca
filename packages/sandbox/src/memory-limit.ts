const PAGE = 65_536

interface Memory {
  readonly buffer: ArrayBuffer
  grow(pages: number): number
}

/**
 * Lets WebAssembly memories of this thread grow to a limit in all; beyond it growing fails, which allocators inside report
 * as being out of memory. Call before the engine is loaded.
 */
export function limitMemory(bytes: number): void {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: { Memory: { prototype: Memory } } }
  const { prototype } = WebAssembly.Memory
  const { grow } = prototype
  prototype.grow = function (this: Memory, pages: number): number {
    if (this.buffer.byteLength + pages * PAGE > bytes) throw new RangeError('the memory limit is reached')
    return grow.call(this, pages)
  }
}
