import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { METRICS, type Metric } from '@ferrite-migrate/core'

/** docs/metrics.md, made from the table of metrics: `node tools/lint/dist/metrics-page.js` checks it, `--write` makes it. */
const FILE = resolve(import.meta.dirname, '..', '..', '..', 'docs', 'metrics.md')
const COLUMNS = ['metric', 'kind', 'unit', 'labels', 'what it is']

const INTRODUCTION = `# Metrics

What is measured of a migration while it runs. \`--metrics-listen 127.0.0.1:9108\` of every command that runs one (\`9108\` alone is this machine only) answers \`GET /metrics\` for Prometheus and whatever reads its text; a collector that asks for OpenMetrics gets that. What the process itself uses (\`process_*\`, \`nodejs_*\`) is beside it. Nobody has to log in there: no password is in it, but the addresses of both ends are.

\`\`\`yaml
scrape_configs:
  - job_name: ferrite-migrate
    static_configs: [{ targets: ["migrator:9108"] }]
\`\`\`

\`docs/grafana/ferrite-migrate.json\` is a dashboard for Grafana (Dashboards, Import), and \`docs/grafana/alerts.yml\` has rules for Prometheus to begin with: a run that failed, was interrupted or is gone, one that diverges, is far behind, keeps nothing, is refused keys, or differs.

\`serve\` answers at \`/metrics\` for all migrations at once, each with the label \`migration\`, to whoever knows its token ([a service](serve.md)). A \`worker\` of a queue answers with what its machine runs, with the labels \`migration\` and \`worker\` ([many machines](scale-out.md)).

\`--otlp http://collector:4318\` pushes the same, under the same names, to a collector of OpenTelemetry (OTLP over HTTP, JSON) every ten seconds and at the end: the plugin \`@ferrite-migrate/otlp\` does it, by OpenTelemetry's own SDK, and is installed by \`ferrite-migrate plugins install @ferrite-migrate/otlp\`. What a collector wants to know of who pushes comes from \`OTEL_EXPORTER_OTLP_HEADERS\`. One that is away is told of once, and holds nothing up.

The answer is in the plugin \`@ferrite-migrate/serve\`, which \`ferrite-migrate\` brings. Programs have the same of every migration by the method \`migration.metrics\` of [the protocol](protocol.md). \`Migration.metrics()\` gives the values now (docs of \`@ferrite-migrate/core\`); the table itself is its \`METRICS\`. This page is made from that table (\`npm run schema\`).

A \`counter\` is only ever added to while one process runs; \`--resume\` goes on from what the former process had counted where that was stored, and begins at 0 otherwise. A \`gauge\` is what is so now. "yes or no" is 1 or 0. What is not known has no value: a source that does not tell how far it is behind has no \`ferrite_migrate_lag_bytes\`, and of a run that is over, or whose process died, nobody says how far it is behind. \`shard\` is the name of a stream of the source as \`status\` shows it; of keys and values nothing is ever in a label.
`

function cells({ name, kind, unit, labels, help }: Metric): string[] {
  return [`\`${name}\``, kind, unit, labels.join(', '), help]
}

/** A table whose columns are as wide as their widest cell. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, at) => Math.max(...rows.map((row) => row[at].length)))
  const line = (row: readonly string[]): string => `| ${row.map((cell, at) => cell.padEnd(widths[at])).join(' | ')} |`
  const [head, ...body] = rows.map(line)
  return [head, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body].join('\n')
}

const text = `${INTRODUCTION}\n${table([COLUMNS, ...METRICS.map(cells)])}\n`
if (process.argv.includes('--write')) writeFileSync(FILE, text)
else if (readFileSync(FILE, 'utf8') !== text) {
  console.error('docs/metrics.md is not what the table of metrics says: npm run schema')
  process.exitCode = 1
}
