import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { METRICS, type Metric, type MetricSample, type OpenMeasuring } from '@ferrite-migrate/core'
import type { Observable } from '@opentelemetry/api'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { collectorUrl } from './collector-url.js'
import { TellingExporter } from './telling-exporter.js'

const EVERY_MS = 10_000
const WITHIN_MS = 2000
/** A collector that is away must not keep a migration from ending. */
const LAST_MS = 3000

/** Units as UCUM writes them, for OpenTelemetry. */
const UNITS: Partial<Record<Metric['unit'], string>> = { bytes: 'By', seconds: 's', 'yes or no': '1' }

/**
 * What `--otlp` opens: what is measured is pushed to a collector of OpenTelemetry (OTLP over HTTP) every ten seconds and at the end, under
 * the names of docs/metrics.md. The place is its URL; headers come from OTEL_EXPORTER_OTLP_HEADERS, as the SDK has it.
 */
export const openMeasuring: OpenMeasuring = async (place, samples, tell) => {
  const url = collectorUrl(place)
  const exporter = new TellingExporter(new OTLPMetricExporter({ url, timeoutMillis: WITHIN_MS }), tell)
  const reader = new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: EVERY_MS,
    exportTimeoutMillis: WITHIN_MS,
  })
  const provider = new MeterProvider({
    resource: resourceFromAttributes({
      'service.name': 'ferrite-migrate',
      'service.instance.id': `${hostname()}:${process.pid}`,
    }),
    readers: [reader],
  })
  observe(provider, samples)
  return {
    said: `Metrics go to ${url}`,
    async close() {
      const last = provider.shutdown().catch(() => undefined)
      await Promise.race([last, sleep(LAST_MS, undefined, { ref: false })])
    },
  }
}

function observe(provider: MeterProvider, samples: () => readonly MetricSample[]): void {
  const meter = provider.getMeter('ferrite-migrate')
  const instruments = new Map<string, Observable>(
    METRICS.map(({ name, kind, unit, help }) => {
      const options = { description: help, unit: UNITS[unit] ?? `{${unit}}` }
      return [
        name,
        kind === 'counter' ? meter.createObservableCounter(name, options) : meter.createObservableGauge(name, options),
      ]
    }),
  )
  meter.addBatchObservableCallback(
    (result) => {
      for (const { metric, labels, value } of samples()) {
        const instrument = instruments.get(metric.name)
        if (instrument !== undefined && Number.isFinite(value)) result.observe(instrument, value, labels)
      }
    },
    [...instruments.values()],
  )
}
