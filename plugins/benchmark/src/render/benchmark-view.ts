import { formatCount, THICK, THIN } from '@ferrite-migrate/cli-kit'
import { counted } from '@ferrite-migrate/contracts'
import { htmlPage, htmlTable } from '@ferrite-migrate/core'
import type { BenchmarkReport, CommandResult } from '../index.js'

function difference(from: number, to: number): string {
  if (from === 0) return '-'
  const percent = Math.round((to / from - 1) * 100)
  return `${percent >= 0 ? '+' : ''}${percent}%`
}

function table(result: CommandResult): string[] {
  const { source, target } = result
  const row = (name: string, a: string, b: string, c: string): string =>
    `${name.padEnd(13)}${a.padEnd(13)}${b.padEnd(13)}${c}`
  const latency = (name: string, a: number, b: number): string =>
    row(name, `${a.toFixed(2)}ms`, `${b.toFixed(2)}ms`, difference(a, b))
  return [
    `${result.command} Operations (${formatCount(result.operations)})`,
    THIN,
    row('', 'Source', 'Target', 'Diff'),
    row(
      'Throughput',
      `${formatCount(source.perSecond)}/s`,
      `${formatCount(target.perSecond)}/s`,
      difference(source.perSecond, target.perSecond),
    ),
    latency('P50', source.p50, target.p50),
    latency('P99', source.p99, target.p99),
    latency('P99.9', source.p999, target.p999),
    latency('Max', source.max, target.max),
  ]
}

/** The tables of the product page, and what the client itself can do. */
export function benchmarkLines(report: BenchmarkReport): string[] {
  const reached = Math.max(...report.results.map(({ source, target }) => Math.max(source.perSecond, target.perSecond)))
  // Where the servers were as fast as the one that does nothing, the limit was not found.
  const atLeast = reached >= report.clientLimitPerSecond
  const near = !atLeast && reached > report.clientLimitPerSecond * 0.8
  return [
    THICK,
    'PERFORMANCE COMPARISON',
    THICK,
    ...report.results.flatMap((result) => ['', ...table(result)]),
    '',
    `${formatCount(report.clients)} clients, ${counted(report.pipeline, 'command')} at once, values of ${formatCount(report.dataSize)} bytes, ${formatCount(report.keyspace)} keys${report.rate > 0 ? `, ${formatCount(report.rate)} operations/s` : ''}`,
    `The client's own limit: ${atLeast ? 'at least ' : ''}${formatCount(report.clientLimitPerSecond)}/s${near && report.rate === 0 ? ". ⚠️  Figures near it are the client's, not the servers': use fewer commands at once, or several machines" : ''}`,
  ]
}

/** One page with a plot of latency over percentiles for each command. */
export function benchmarkHtml(report: BenchmarkReport): string {
  const plots = report.results.map(({ command, source, target }) => {
    const high = Math.max(0.001, ...source.percentiles.map(([, ms]) => ms), ...target.percentiles.map(([, ms]) => ms))
    const line = (points: readonly (readonly [number, number])[], side: 'a' | 'b'): string =>
      `<polyline class="${side}" points="${points.map(([, ms], i) => `${(i / (points.length - 1)) * 800},${160 - (Math.log1p(ms) / Math.log1p(high)) * 160}`).join(' ')}"/>`
    const labels = source.percentiles
      .map(
        ([percentile], i) =>
          `<text x="${(i / (source.percentiles.length - 1)) * 800}" y="180" class="end">${percentile}%</text>`,
      )
      .join('')
    return `<h2>${command}</h2><svg viewBox="-60 -10 880 200"><rect width="800" height="160" class="frame"/>${line(source.percentiles, 'b')}${line(target.percentiles, 'a')}${labels}<text x="-8" y="10" class="end">${high.toFixed(2)} ms</text></svg>${htmlTable(
      [
        ['Throughput', `${formatCount(source.perSecond)}/s`, `${formatCount(target.perSecond)}/s`],
        ['P50', `${source.p50.toFixed(3)} ms`, `${target.p50.toFixed(3)} ms`],
        ['P99', `${source.p99.toFixed(3)} ms`, `${target.p99.toFixed(3)} ms`],
        ['P99.9', `${source.p999.toFixed(3)} ms`, `${target.p999.toFixed(3)} ms`],
      ],
      ['', 'Source (blue)', 'Target (red)'],
    )}`
  })
  return htmlPage(
    'Performance comparison',
    `<h1>Performance comparison</h1><p>Latency over percentiles, on a logarithmic scale. The client's own limit: ${formatCount(report.clientLimitPerSecond)}/s.</p>${plots.join('')}`,
  )
}
