import { type Finding, MigrateError, type Source, type Target } from '@ferrite-migrate/contracts'
import { commandSpecOf } from '@ferrite-migrate/protocol'
import type { PluginUse } from '../adapters/registry.js'
import type { FilterConfig, ResolvedConfig } from '../config/config.js'
import { redactUrl } from '../config/secrets.js'
import type { RecordTransform } from '../transform/record-transform.js'

/** What a run is going to do and why; made without writing anything but the target's probe keys. */
export interface Plan {
  readonly source: string
  readonly target: string
  readonly mode: string
  readonly apply: 'replay' | 'state'
  readonly reasons: readonly string[]
  readonly lanes: number
  readonly batchSize: number
  readonly onConflict: string
  readonly filter: FilterConfig
  /** What changes names and values, in words. */
  readonly transforms: readonly string[]
  readonly sourceFacts: Readonly<Record<string, string>>
  readonly targetFacts: Readonly<Record<string, string>>
  readonly findings: readonly Finding[]
  readonly keys: number | null
  /** The packages whose code is run, and where they are. */
  readonly plugins: readonly PluginUse[]
}

/**
 * Decides how changes are applied: `replay` needs a lossless stream, Redis semantics at the target and a filter that
 * looks at names only.
 */
export function makePlan(
  config: ResolvedConfig,
  source: Source,
  target: Target,
  findings: readonly Finding[],
  needsValue: boolean,
  transform: RecordTransform,
  keys: number | null,
  plugins: readonly PluginUse[] = [],
): Plan {
  const refusals: string[] = []
  if (source.capabilities.changes !== 'lossless')
    refusals.push('the source does not give its changes as a lossless stream')
  refusals.push(...target.dialect.replayRefusals)
  if (
    target.dialect.needsPlaces === true &&
    source.capabilities.changes === 'lossless' &&
    source.capabilities.places !== true
  )
    refusals.push('the target is a cluster, and the changes of this source do not tell their places in its stream')
  if (needsValue) refusals.push('a filter by type or expiry needs each value')
  if (transform.changesValues) refusals.push('values are transformed, and a command tells only a part of one')
  let apply: 'replay' | 'state' = refusals.length === 0 ? 'replay' : 'state'
  const reasons: string[] = []
  const all: Finding[] = [...findings]
  if (
    apply === 'state' &&
    config.mode !== 'snapshot' &&
    source.reader === undefined &&
    source.capabilities.changes !== 'none'
  )
    all.push({
      level: 'fail',
      code: 'FM_SOURCE_UNREADABLE',
      text: `changes have to be applied by state, and the source cannot be read key by key (for an append-only file: --rebuild): ${refusals.join('; ')}`,
    })
  const unknown = unknownCommands(source, target)
  if (apply === 'replay' && config.mode !== 'snapshot' && source.reader === undefined && unknown.length > 0)
    all.push({
      level: 'fail',
      code: 'FM_SOURCE_UNREADABLE',
      text: `the target does not know ${unknown.join(', ')}, which the file holds: --rebuild writes its keys whole instead of its commands`,
    })
  if (config.apply !== 'auto' && config.apply !== apply) {
    if (config.apply === 'replay')
      all.push({
        level: 'fail',
        code: 'FM_APPLY_REPLAY',
        text: `--apply replay is not possible: ${refusals.join('; ')}`,
      })
    else apply = config.apply
    reasons.push('changes are applied by state, as asked')
  } else if (apply === 'replay')
    reasons.push('changes are replayed: the probes show Redis semantics at the target, and the stream loses nothing')
  else reasons.push(`changes are applied by state: ${refusals.join('; ')}`)
  return {
    source: redactUrl(config.source),
    target: redactUrl(config.target),
    mode: config.mode,
    apply,
    reasons,
    lanes: config.parallel ?? target.advisedLanes ?? 4,
    batchSize: config.batchSize,
    onConflict: config.onConflict,
    filter: config.filter,
    transforms: transformsOf(config),
    sourceFacts: source.description,
    targetFacts: target.dialect.facts,
    findings: all,
    keys,
    plugins,
  }
}

/** @throws MigrateError FM_PREFLIGHT_REFUSED when a check refuses the run */
export function refuseUnfit({ findings }: Plan): void {
  const refusals = findings.filter(({ level }) => level === 'fail')
  if (refusals.length === 0) return
  throw new MigrateError(
    'FM_PREFLIGHT_REFUSED',
    refusals.map(({ text }) => text).join('; '),
    `Codes: ${refusals.map(({ code }) => code).join(', ')}; see docs/errors.md.`,
  )
}

/** Commands of a file that change keys and that the target does not know. */
function unknownCommands(source: Source, target: Target): string[] {
  return [...(source.commands?.keys() ?? [])].filter(
    (name) => commandSpecOf(name).kind === 'write' && target.knows?.(name) === false,
  )
}

function transformsOf(config: ResolvedConfig): string[] {
  const { transform, transformScript, keyTemplate, dbMap, ttl, ttlFactor } = config
  return [
    ...(ttl === 'keep' ? [] : [ttl === 'none' ? 'no ends' : `ends ${ttl} ms from when a key is written`]),
    ...(ttlFactor === 1 ? [] : [`what is left to live times ${ttlFactor}`]),
    ...(transform === undefined ? [] : [`rules of ${transform}`]),
    ...(transformScript === undefined ? [] : [`script ${transformScript}`]),
    ...(keyTemplate === '{key}' ? [] : [`names ${keyTemplate}`]),
    ...Object.entries(dbMap).map(([from, to]) => `database ${from} to ${to}`),
  ]
}
