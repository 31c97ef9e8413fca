import type { RedisOptions } from 'ioredis'
import { type Job, Queue, Worker } from '../../vendor/bullmq.mjs'

export type ShardJobData = { readonly migration: string; readonly shard: string; readonly round: string }
export type ShardJob = Job<ShardJobData>
export type JobQueue = Queue<ShardJobData>
export type JobWorker = Worker<ShardJobData>

/** The queue of jobs, one a shard. */
export function openJobs(connection: RedisOptions, prefix: string, name: string): JobQueue {
  const queue = new Queue<ShardJobData>(name, {
    connection,
    prefix,
    defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
  })
  queue.on('error', () => undefined)
  return queue
}

/** A jack of all jobs, that takes one when it is asked to and renews no lock by itself. */
export function openTaker(
  connection: RedisOptions,
  prefix: string,
  name: string,
  times: { readonly lockMs: number; readonly stalledMs: number },
): JobWorker {
  const worker = new Worker<ShardJobData>(name, null, {
    ...{ connection, prefix, autorun: false, skipLockRenewal: true },
    lockDuration: times.lockMs,
    stalledInterval: times.stalledMs,
    // By default a job that is lost twice counts as failed.
    maxStalledCount: 1_000_000_000,
    drainDelay: 2,
  })
  worker.on('error', () => undefined)
  return worker
}
