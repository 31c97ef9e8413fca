import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import type {
  AggregationTemporality,
  InstrumentType,
  PushMetricExporter,
  ResourceMetrics,
} from '@opentelemetry/sdk-metrics'

/** Tells once when a collector takes nothing, and once when it does again: the library says neither. */
export class TellingExporter implements PushMetricExporter {
  private readonly inner: PushMetricExporter
  private readonly tell: (text: string) => void
  private failing = false

  constructor(inner: PushMetricExporter, tell: (text: string) => void) {
    this.inner = inner
    this.tell = tell
  }

  export(metrics: ResourceMetrics, done: (result: ExportResult) => void): void {
    this.inner.export(metrics, (result) => {
      const failed = result.code === ExportResultCode.FAILED
      if (failed !== this.failing)
        this.tell(
          failed
            ? `The collector takes no metrics (${result.error?.message ?? 'no reason given'}); it is tried again, and the migration goes on.`
            : 'The collector takes metrics again.',
        )
      this.failing = failed
      done(result)
    })
  }

  selectAggregationTemporality(type: InstrumentType): AggregationTemporality {
    if (this.inner.selectAggregationTemporality === undefined) throw new TypeError('the exporter of OTLP has changed')
    return this.inner.selectAggregationTemporality(type)
  }

  forceFlush(): Promise<void> {
    return this.inner.forceFlush()
  }

  shutdown(): Promise<void> {
    return this.inner.shutdown()
  }
}
