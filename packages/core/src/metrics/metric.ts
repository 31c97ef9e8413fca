/** `counter`: is only ever added to while a process runs. `gauge`: what is so now. */
export type MetricKind = 'counter' | 'gauge'

/** One thing that is measured of a run. */
export interface Metric {
  /** As Prometheus names such: lower case, with its unit, and `_total` where it counts. */
  readonly name: string
  readonly kind: MetricKind
  readonly unit: 'keys' | 'changes' | 'values' | 'bytes' | 'seconds' | 'times' | 'shards' | 'slots' | 'yes or no'
  readonly help: string
  /** Names of its labels. */
  readonly labels: readonly string[]
}

/** A value of a metric at one moment; what is not known has none. */
export interface MetricSample {
  readonly metric: Metric
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Samples as JSON, for the state: [name, labels, value] each. */
export function storedMetrics(samples: readonly MetricSample[]): string {
  return JSON.stringify(samples.map(({ metric, labels, value }) => [metric.name, labels, value]))
}
