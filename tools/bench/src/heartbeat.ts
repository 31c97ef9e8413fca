import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/**
 * Writes a heartbeat to the source every 20 ms and looks for it at the target, in a thread of its own: a writer that is
 * busy would keep it from beating just when the lag is of interest.
 */
export class Heartbeat {
  private readonly worker: Worker

  private constructor(worker: Worker) {
    this.worker = worker
  }

  /** @param key its name begins with this, such as a hash tag */
  static start(source: string, target: string, key = ''): Heartbeat {
    return new Heartbeat(
      new Worker(new URL('./heartbeat-worker.js', import.meta.url), { workerData: { source, target, key } }),
    )
  }

  /** Gives how long each heartbeat took from its writing until it was seen, ms. */
  async stop(): Promise<number[]> {
    this.worker.postMessage('stop')
    const [lags] = (await once(this.worker, 'message')) as [number[]]
    return lags
  }
}
