import type { WorkerMessage } from './serve.js'

/** What a pool tells the process that it started. */
export type ToHost =
  | {
      readonly kind: 'start'
      /** Address of the module that the worker runs. */
      readonly module: string
      /** Options of Node that the worker gets: by itself it would have rights that the process has not. */
      readonly rights: readonly string[]
      readonly data: Readonly<Record<string, unknown>>
      /** Heap of the worker outside its WebAssembly memory, MiB. */
      readonly heapMb: number
      /** Bytes that the process may have in memory. */
      readonly residentBytes: number
    }
  | { readonly kind: 'request'; readonly request: unknown }
  | { readonly kind: 'interrupt'; readonly signal: number }

/** What the process tells the pool. */
export type FromHost = WorkerMessage | { readonly kind: 'ended'; readonly message: string }
