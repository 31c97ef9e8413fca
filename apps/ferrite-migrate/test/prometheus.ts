import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Of Prometheus' own client for Python, which has parsers for both forms of its text. */
const VERSION = '0.23.1'
const FOLDER = join(tmpdir(), `ferrite-migrate-prometheus-${VERSION}`)

const READS = `
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
families = list((openmetrics if sys.argv[1] == 'openmetrics' else plain)(sys.stdin.read()))
print(sum(len(family.samples) for family in families))
`

/** The parsers are here, or can be had from where Python's packages come from. */
export function hasParser(): boolean {
  if (existsSync(join(FOLDER, 'prometheus_client'))) return true
  const flags = ['--quiet', '--disable-pip-version-check', '--no-deps', '--target', FOLDER]
  const { status } = spawnSync('python3', ['-m', 'pip', 'install', ...flags, `prometheus_client==${VERSION}`], {
    timeout: 60_000,
  })
  return status === 0
}

/** How many samples Prometheus' own parser finds. @throws Error with what it cannot read */
export function samplesIn(text: string, form: 'openmetrics' | 'text'): number {
  const { status, stdout, stderr } = spawnSync('python3', ['-c', READS, form], {
    input: text,
    encoding: 'utf8',
    env: { ...process.env, PYTHONPATH: FOLDER },
  })
  if (status !== 0) throw new Error(stderr.slice(-2000))
  return Number(stdout)
}
