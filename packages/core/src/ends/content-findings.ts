import { type Contents, counted, type Dialect, type Finding } from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from '../config/config.js'
import { RecordFilter } from '../records/key-filter.js'

const WHAT_THEN = {
  fail: 'the run is refused; --unsupported skip or degrade goes on',
  skip: 'such keys are left out and counted',
  degrade: 'they are carried without it and counted',
} as const

/** What of a source's contents the target cannot hold, said before anything is written. */
export function contentFindings(contents: Contents, dialect: Dialect, config: ResolvedConfig): Finding[] {
  const findings: Finding[] = []
  const policy = config.unsupported
  const unfiltered = new RecordFilter(config.filter).open
  const lacks = (code: string, count: number, one: string, many: string): void => {
    if (count === 0) return
    findings.push({
      level: policy === 'fail' ? 'fail' : 'warn',
      code,
      text: `${counted(count, one, many)}: ${WHAT_THEN[policy]}${unfiltered ? '' : ' (of the whole file: the filter may leave them out)'}`,
    })
  }
  const { holds } = dialect
  if (holds?.fieldExpiry === false)
    lacks(
      'content-field-ttl',
      contents.hashesWithFieldExpiry,
      'hash has fields that expire, which the target does not know',
      'hashes have fields that expire, which the target does not know',
    )
  if (holds?.hyperLogLog === false)
    lacks(
      'content-hyperloglog',
      contents.hyperLogLogs,
      'HyperLogLog, which the target keeps in a form of its own',
      'HyperLogLogs, which the target keeps in a form of its own',
    )
  if (contents.functions > 0)
    findings.push({
      level: 'info',
      code: 'content-functions',
      text: `${counted(contents.functions, 'function library', 'function libraries')}: loaded at the target where it takes them, else counted as not carried`,
    })
  for (const [name, count] of contents.modules)
    if (dialect.rendering === 'restore' && count > 0)
      findings.push({
        level: 'warn',
        code: 'content-module',
        text: `${counted(count, 'value')} of the module ${name}: carried where the target has it loaded, else counted as failed`,
      })
    else
      lacks(
        'content-module',
        count,
        `value of the module ${name}, which the target does not know`,
        `values of the module ${name}, which the target does not know`,
      )
  const last = Math.max(0, ...[...contents.databases.keys()].map((db) => config.dbMap[db] ?? db))
  if (holds?.databases === false && last > 0)
    findings.push({
      level: 'fail',
      code: 'content-databases',
      text: `there are keys in database ${last}, and the target has database 0 only: map it with --db-map ${last}:0`,
    })
  return findings
}
