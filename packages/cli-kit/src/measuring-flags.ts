import { Flags } from '@oclif/core'

/** Where metrics are to be had while a command runs; `measuringOf` opens it. */
export const measuringFlags = {
  'metrics-listen': Flags.string({
    description:
      'Answer collectors such as Prometheus at this address while it runs: HOST:PORT, or PORT for this machine alone',
    helpValue: '<ADDRESS>',
  }),
  otlp: Flags.string({
    description:
      'Push metrics to this collector of OpenTelemetry while it runs, such as http://collector:4318 (plugin @ferrite-migrate/otlp)',
    helpValue: '<URL>',
  }),
}
