import type { Metric, MetricSample } from '@ferrite-migrate/core'
import { Counter, collectDefaultMetrics, Gauge, type OpenMetricsContentType, Registry } from 'prom-client'

/** The two forms of the text: what collectors ask for, and what everything else understands. */
export type ScrapeForm = 'openmetrics' | 'text'

type AnyRegistry = Registry | Registry<OpenMetricsContentType>

/** What the process itself uses; a registry serves one form only, since prom-client names counters another way in each. */
function processRegistry(form: ScrapeForm): AnyRegistry {
  const registry = emptyRegistry(form)
  collectDefaultMetrics({ register: registry })
  // Gauges that are named as counters.
  for (const what of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${what}_total`)
  return registry
}

function emptyRegistry(form: ScrapeForm): AnyRegistry {
  if (form === 'text') return new Registry()
  const registry = new Registry<OpenMetricsContentType>()
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  return registry
}

function byMetric(samples: readonly MetricSample[]): Map<Metric, MetricSample[]> {
  const groups = new Map<Metric, MetricSample[]>()
  for (const sample of samples) {
    const group = groups.get(sample.metric)
    if (group === undefined) groups.set(sample.metric, [sample])
    else group.push(sample)
  }
  return groups
}

const END = '# EOF\n'

/** Writes samples as Prometheus and OpenMetrics have them, with those of this process. */
export class Scrape {
  private readonly processes = new Map<ScrapeForm, AnyRegistry>()

  /** @param accept of the request: OpenMetrics is given to whoever asks for it */
  static formOf(accept: string): ScrapeForm {
    return accept.includes('application/openmetrics-text') ? 'openmetrics' : 'text'
  }

  static contentType(form: ScrapeForm): string {
    return form === 'openmetrics' ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE
  }

  async text(samples: readonly MetricSample[], form: ScrapeForm): Promise<string> {
    const registry = emptyRegistry(form)
    for (const [metric, of] of byMetric(samples)) {
      const { name, help } = metric
      // Beside its own labels a sample may say whose it is.
      const labelNames = [...new Set(of.flatMap(({ labels }) => Object.keys(labels)))]
      const settings = { name, help, labelNames, registers: [registry] }
      if (metric.kind === 'counter') {
        const counter = new Counter(settings)
        for (const sample of of) counter.inc(sample.labels, sample.value)
      } else {
        const gauge = new Gauge(settings)
        for (const sample of of) gauge.set(sample.labels, sample.value)
      }
    }
    const measured = await registry.metrics()
    const ofProcess = await this.process(form).metrics()
    return form === 'openmetrics' ? measured.slice(0, -END.length) + ofProcess : measured + ofProcess
  }

  private process(form: ScrapeForm): AnyRegistry {
    let registry = this.processes.get(form)
    if (registry === undefined) {
      registry = processRegistry(form)
      this.processes.set(form, registry)
    }
    return registry
  }
}
