import type { AdapterContext, Finding, KeyReader, MigrateError } from '@ferrite-migrate/contracts'
import type { Registry } from '../adapters/registry.js'
import { type MigrationConfig, resolveConfig } from '../config/config.js'
import { redactUrl } from '../config/secrets.js'
import { openEnds } from '../ends/open-ends.js'
import { Migration } from './migration.js'

/** What was found out about one end. */
export interface EndDiagnosis {
  readonly end: 'source' | 'target'
  readonly address: string
  /** Null = it could be opened. */
  readonly error: { readonly code: string; readonly text: string; readonly hint: string } | null
  readonly facts: Readonly<Record<string, string>>
  /** Null = it does not tell. */
  readonly keys: number | null
  /** How long one request and its answer take, ms; null = it is a file. */
  readonly latencyMs: number | null
}

/** Both ends, and what a migration between them would meet. */
export interface Diagnosis {
  readonly ends: readonly EndDiagnosis[]
  readonly findings: readonly Finding[]
  /** A migration would start. */
  readonly ready: boolean
}

const PINGS = 5

/** Checks both ends of a migration, each for itself and then together. Writes nothing but the target's probe keys, which are removed. */
export async function diagnose(
  config: MigrationConfig,
  registry: Registry,
  context: Omit<AdapterContext, 'url' | 'options'>,
): Promise<Diagnosis> {
  const resolved = resolveConfig({ ...config, syncTimeoutMs: 0 })
  const opened = await openEnds(resolved, registry, context)
  const { source, target } = opened
  const ends: EndDiagnosis[] = []
  try {
    ends.push(
      source instanceof Error
        ? failed('source', resolved.source, source)
        : await look('source', resolved.source, source.description, source.reader?.() ?? null),
      target instanceof Error
        ? failed('target', resolved.target, target)
        : await look('target', resolved.target, target.dialect.facts, target.reader()),
    )
  } finally {
    if (!(source instanceof Error)) await source[Symbol.asyncDispose]()
    if (!(target instanceof Error)) await target[Symbol.asyncDispose]()
  }
  if (ends.some(({ error }) => error !== null)) return { ends, findings: [], ready: false }
  try {
    const { findings } = await new Migration(config, { registry, logger: context.logger }).dryRun()
    return { ends, findings, ready: !findings.some(({ level }) => level === 'fail') }
  } catch (error) {
    const { code, message, hint } = error as MigrateError
    return {
      ends,
      findings: [{ level: 'fail', code: code ?? 'FM_INTERNAL', text: `${message} ${hint ?? ''}` }],
      ready: false,
    }
  }
}

function failed(end: EndDiagnosis['end'], url: string, error: Error): EndDiagnosis {
  const { code, message, hint } = error as MigrateError
  return {
    end,
    address: redactUrl(url),
    error: { code: code ?? 'FM_INTERNAL', text: message, hint: hint ?? '' },
    facts: {},
    keys: null,
    latencyMs: null,
  }
}

async function look(
  end: EndDiagnosis['end'],
  url: string,
  facts: Readonly<Record<string, string>>,
  reader: KeyReader | null,
): Promise<EndDiagnosis> {
  const base = { end, address: redactUrl(url), error: null, facts }
  if (reader === null) return { ...base, keys: null, latencyMs: null }
  try {
    let keys = 0
    for (const size of (await reader.size()).values()) keys += size
    const startedAt = performance.now()
    for (let ping = 0; ping < PINGS; ping++) await reader.size()
    return { ...base, keys, latencyMs: (performance.now() - startedAt) / PINGS }
  } finally {
    await reader.close()
  }
}
