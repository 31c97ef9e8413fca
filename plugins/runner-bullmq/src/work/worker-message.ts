/** From a process that runs one shard to the one that started it. */
export type FromShardProcess =
  /** It waits for a job. */
  | { readonly kind: 'waits' }
  /** It has one. */
  | { readonly kind: 'works'; readonly text: string }
  /** Both ends are open, and it runs; or it has nothing to do any more. */
  | { readonly kind: 'begun' }
  /** What is measured of it, as `storedMetrics` writes it. */
  | { readonly kind: 'measured'; readonly migration: string; readonly samples: string }
  | { readonly kind: 'said'; readonly level: 'info' | 'warn' | 'error'; readonly text: string }
  /** It can do no work here, whatever it is given. */
  | { readonly kind: 'unfit'; readonly text: string }

/** What such a process is started with. It holds the address of the queue with its password. */
export interface ShardProcessTask {
  readonly url: string
  readonly name: string
  readonly lockMs: number
  readonly stateDir: string
  /** Somebody collects what is measured. */
  readonly measures: boolean
  /** Where the adapters of this machine are. */
  readonly plugins: readonly {
    readonly name: string
    readonly root: string
    readonly packageJson: Readonly<Record<string, unknown>>
  }[]
}

export type ToShardProcess = { readonly kind: 'run'; readonly task: ShardProcessTask } | { readonly kind: 'stop' }
