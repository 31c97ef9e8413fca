import type { MetricSample } from '@ferrite-migrate/core'
import { MetricsListener } from './metrics-listener.js'

/** Answers collectors until it is closed. */
export interface Measuring {
  /** What is said to who runs it. */
  readonly said: string
  close(): Promise<void>
}

/**
 * What `--metrics-listen` opens.
 * @param place HOST:PORT, or PORT for this machine alone
 * @throws MigrateError FM_LISTEN, FM_OPTION_VALUE
 */
export async function openMeasuring(place: string, samples: () => readonly MetricSample[]): Promise<Measuring> {
  const listener = await MetricsListener.open(place, samples)
  return { said: `Metrics at ${listener.url}`, close: () => listener.close() }
}
