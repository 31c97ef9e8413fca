/** A function that WebAssembly calls; its parts and its result are numbers. */
type Import = (...parts: number[]) => unknown

/** How an import passes the closed gate: as it is, or through a function that decides for each call. */
export type Pass = 'as it is' | ((original: Import) => Import)
/** What code may still call once the gate is closed, by the name of the import. */
export type Passes = ReadonlyMap<string, Pass>

type Imports = Record<string, Record<string, unknown>>

/** What an instance gives; how it is answered depends on whether a module or its bytes were given. */
interface Made {
  readonly instance?: { readonly exports: Record<string, unknown> }
  readonly exports?: Record<string, unknown>
}

/** As much of it as is touched here; only the types of a browser have it. */
declare const WebAssembly: {
  instantiate(code: unknown, imports?: Imports): Promise<Made>
  instantiateStreaming?: unknown
  Instance: new (module: unknown, imports?: Imports) => Made
}

/** The numbers by which an engine is told that something is not permitted: as the result of a system call, or of WASI. */
const EPERM = 63
const SYSTEM_CALL = /^__syscall_/
const WASI = /^(fd|path|clock|random|environ|args|proc|poll|sock)_/
/** Numbers that an engine links by itself; no functions. */
const LINKED = /^GOT\./

/**
 * Stands between WebAssembly and the JavaScript of this thread. Whatever code in WebAssembly becomes (an interpreter that was
 * taken over, memory that was written to), its only way out are the functions of its import table; once `close` was called,
 * nothing of that table answers but what `passes` names. Make it before the engine is loaded.
 */
export class ImportGate {
  private readonly passes: Passes
  private readonly known = new WeakSet<object>()
  private closed = false
  private found: { readonly buffer: ArrayBuffer } | null = null

  constructor(passes: Passes) {
    this.passes = passes
    const { instantiate, Instance } = WebAssembly
    const guardAll = (imports: Imports | undefined): void => this.guardAll(imports)
    const see = (made: Made): void => {
      const memory = (made.instance ?? made).exports?.memory
      if (isMemory(memory)) this.found ??= memory
    }
    WebAssembly.instantiate = async (code, imports) => {
      guardAll(imports)
      const made = await instantiate.call(WebAssembly, code, imports)
      see(made)
      return made
    }
    WebAssembly.instantiateStreaming = undefined
    WebAssembly.Instance = class extends Instance {
      constructor(module: unknown, imports?: Imports) {
        guardAll(imports)
        super(module, imports)
        see(this)
      }
    }
  }

  /** The memory of the first instance, as it is now: growing it makes another buffer. Empty before there is one. */
  get memory(): ArrayBuffer {
    return this.found?.buffer ?? new ArrayBuffer(0)
  }

  /** From now on, and for good. */
  close(): void {
    this.closed = true
  }

  private guardAll(imports: Imports | undefined): void {
    for (const [from, table] of Object.entries(imports ?? {}))
      if (!LINKED.test(from))
        for (const [name, value] of Object.entries(table))
          if (typeof value === 'function') table[name] = this.guard(name, value as Import)
          // A function that waits for a promise: nothing that a sandbox needs.
          else if (Object.prototype.toString.call(value) === '[object WebAssembly.Suspending]')
            table[name] = (): never => this.refuse(name) as never
  }

  private guard(name: string, original: Import): Import {
    if (this.known.has(original)) return original
    const pass = this.passes.get(name)
    if (pass === 'as it is') return original
    const inner = pass?.(original) ?? (() => this.refuse(name))
    const guarded: Import = (...parts) => (this.closed ? inner(...parts) : original(...parts))
    // An engine may keep the signature there.
    Object.assign(guarded, original)
    this.known.add(guarded)
    return guarded
  }

  private refuse(name: string): number {
    if (SYSTEM_CALL.test(name)) return -EPERM
    if (WASI.test(name)) return EPERM
    throw new Error(`code tried to leave the sandbox (${name})`)
  }
}

function isMemory(value: unknown): value is { readonly buffer: ArrayBuffer } {
  return typeof value === 'object' && value !== null && 'buffer' in value && value.buffer instanceof ArrayBuffer
}
