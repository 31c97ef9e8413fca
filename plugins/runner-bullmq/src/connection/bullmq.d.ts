/** What is used of BullMQ 6, which lies in `vendor` as one file. */
declare module '*/vendor/bullmq.mjs' {
  import type { RedisOptions } from 'ioredis'

  export interface Job<Data> {
    readonly id?: string
    readonly data: Data
    /** 1 = the lock is this token's, and was renewed. */
    extendLock(token: string, durationMs: number): Promise<number>
    moveToCompleted(result: unknown, token: string, fetchNext: boolean): Promise<unknown>
    moveToDelayed(at: number, token: string): Promise<void>
  }

  interface Closing {
    on(event: 'error', listener: (error: Error) => void): this
    close(force?: boolean): Promise<void>
  }

  export class Queue<Data> implements Closing {
    constructor(
      name: string,
      options: {
        readonly connection: RedisOptions
        readonly prefix: string
        readonly defaultJobOptions: { readonly removeOnComplete: boolean; readonly removeOnFail: boolean }
      },
    )
    on(event: 'error', listener: (error: Error) => void): this
    close(): Promise<void>
    addBulk(
      jobs: readonly { readonly name: string; readonly data: Data; readonly opts: { readonly jobId: string } }[],
    ): Promise<unknown>
    getActive(): Promise<readonly Job<Data>[]>
    getJobState(jobId: string): Promise<string>
  }

  export class Worker<Data> implements Closing {
    constructor(
      name: string,
      processor: null,
      options: {
        readonly connection: RedisOptions
        readonly prefix: string
        readonly autorun: boolean
        readonly skipLockRenewal: boolean
        readonly lockDuration: number
        readonly stalledInterval: number
        readonly maxStalledCount: number
        readonly drainDelay: number
      },
    )
    on(event: 'error', listener: (error: Error) => void): this
    close(force?: boolean): Promise<void>
    startStalledCheckTimer(): Promise<void>
    getNextJob(token: string): Promise<Job<Data> | undefined>
  }
}
