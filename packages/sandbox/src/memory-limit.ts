const PAGE = 65_536

interface Memory {
  readonly buffer: ArrayBuffer
  grow(pages: number): number
}

interface Descriptor {
  readonly initial: number
}

/** As much of it as is touched here; only the types of a browser have it. */
declare const WebAssembly: {
  Memory: { new (descriptor: Descriptor): Memory; readonly prototype: Memory }
}

/**
 * Lets WebAssembly memories of this thread have so many bytes in all; beyond it making and growing them fails, which
 * allocators inside report as being out of memory. Call before the engine is loaded.
 */
export function limitMemory(bytes: number): void {
  const { Memory } = WebAssembly
  const { grow } = Memory.prototype
  let used = 0
  const take = (pages: number): void => {
    if (used + pages * PAGE > bytes) throw new RangeError('the memory limit is reached')
    used += pages * PAGE
  }
  const counted = new WeakSet<Memory>()
  Memory.prototype.grow = function (this: Memory, pages: number): number {
    // A memory that an instance brought by itself is counted when it is first seen.
    if (!counted.has(this)) take(this.buffer.byteLength / PAGE)
    counted.add(this)
    take(pages)
    return grow.call(this, pages)
  }
  WebAssembly.Memory = class extends Memory {
    constructor(descriptor: Descriptor) {
      take(descriptor.initial)
      super(descriptor)
      counted.add(this)
    }
  }
}
