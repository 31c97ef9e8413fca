import type { OpenMeasuring } from '@ferrite-migrate/core'
import { MetricsListener } from './metrics-listener.js'

/** What `--metrics-listen` opens, at HOST:PORT, or PORT for this machine alone. */
export const openMeasuring: OpenMeasuring = async (place, samples) => {
  const listener = await MetricsListener.open(place, samples)
  return { said: `Metrics at ${listener.url}`, close: () => listener.close() }
}
