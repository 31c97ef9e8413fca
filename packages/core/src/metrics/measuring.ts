import type { MetricSample } from './metric.js'

/** Gives on what is measured of a run until it is closed. */
export interface Measuring {
  /** What is said to who runs it: where it is to be had. */
  readonly said: string
  close(): Promise<void>
}

/**
 * What a plugin exports as `openMeasuring`, for the flag that names a place for metrics.
 * @throws MigrateError FM_OPTION_VALUE, FM_LISTEN
 */
export type OpenMeasuring = (
  place: string,
  samples: () => readonly MetricSample[],
  /** What happens meanwhile, for who runs it. */
  tell: (text: string) => void,
) => Promise<Measuring>
