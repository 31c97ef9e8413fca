/** What is used of WebAssembly, whose types come with those of browsers only. */
declare global {
  namespace WebAssembly {
    class Module {
      constructor(bytes: Uint8Array)
    }
    class Memory {
      private constructor()
      readonly buffer: ArrayBuffer
    }
    class Instance {
      constructor(module: Module)
      readonly exports: Readonly<Record<string, unknown>>
    }
  }
}

export {}
