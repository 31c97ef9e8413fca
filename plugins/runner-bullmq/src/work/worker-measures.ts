import { type MetricSample, readMetrics } from '@ferrite-migrate/core'

/** What the processes of one machine have measured last of the shards that they run now. */
export class WorkerMeasures {
  private readonly ofWorkers = new Map<string, MetricSample[]>()

  /** @param text as `storedMetrics` writes it @throws SyntaxError */
  set(worker: string, migration: string, text: string): void {
    const own = readMetrics(text).map((one) => ({ ...one, labels: { ...one.labels, migration, worker } }))
    this.ofWorkers.set(worker, own)
  }

  /** It runs nothing any more: what it counted is the next one's to go on with. */
  forget(worker: string): void {
    this.ofWorkers.delete(worker)
  }

  samples(): MetricSample[] {
    return [...this.ofWorkers.values()].flat()
  }
}
