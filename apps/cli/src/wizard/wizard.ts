import { existsSync } from 'node:fs'
import { formatCount, formatDuration, writeWhole } from '@ferrite-migrate/cli-kit'
import type { AdapterContext } from '@ferrite-migrate/contracts'
import { analyzeSource, type MigrationConfig, type Registry, type SourceAnalysis } from '@ferrite-migrate/core'
import { fileUrlOf, rowScheme } from '@ferrite-migrate/files'
import { askSource, askTarget, type EndAnswer } from './end-question.js'
import { ask } from './prompts.js'
import { type WizardAnswers, wizardConfig, wizardYaml } from './wizard-config.js'

type SourceKind = 'redis' | 'memcached' | 'rdb' | 'aof' | 'rows'
type Context = Omit<AdapterContext, 'url' | 'options'>

/** Keys that the quick look takes. */
const SAMPLE = 20_000
const PATTERNS = 10

/** When the verification happens depends on what there is an end of. */
const VERIFY_QUESTION = {
  live: 'Verify after the first copy, and again at the cutover?',
  snapshot: 'Verify at the end?',
  incremental: 'Verify after each pass?',
} as const

export interface WizardTools {
  readonly registry: Registry
  readonly context: Context
  say(text: string): void
  /** Shows what would be done; false = it would be refused. */
  showPlan(config: MigrationConfig): Promise<boolean>
}

/** Asks everything that a migration needs; null = somebody decided not to start it. */
export async function runWizard({ registry, context, say, showPlan }: WizardTools): Promise<MigrationConfig | null> {
  say('Welcome to Ferrite Migration Wizard!')
  say('')
  const kind = await ask.choice<SourceKind>('Select source database type:', [
    { name: 'Redis', value: 'redis' },
    { name: 'Memcached', value: 'memcached' },
    { name: 'RDB file', value: 'rdb' },
    { name: 'AOF file', value: 'aof' },
    { name: 'JSON/CSV import', value: 'rows' },
  ])
  const source = await sourceOf(kind, registry, context, say)
  const target = await askTarget(
    { message: 'Target Ferrite connection:', fallback: 'ferrite://localhost:6379', toUrl: (text) => text, options: {} },
    registry,
    context,
    say,
  )
  const mode = kind === 'redis' || kind === 'memcached' ? await askMode() : 'snapshot'
  if (kind !== 'redis' && kind !== 'memcached') say('  A file is imported once, as a snapshot.')
  const interval = mode === 'incremental' ? await ask.text('Time between two syncs:', '15m') : undefined
  const look = kind === 'redis' ? await quickLook(source, target, registry, context, say) : null
  const exclude = look === null ? [] : await askFilters(look, say)
  const verify = await ask.yes(VERIFY_QUESTION[mode], mode !== 'live')
  const answers: WizardAnswers = { source, target, mode, interval, include: [], exclude, verify }
  const config = wizardConfig(answers)
  const ready = await showPlan(config)
  const estimate = look?.estimate ?? null
  if (estimate !== null)
    say(`The first copy takes about ${formatDuration(estimate.leastMs)} to ${formatDuration(estimate.mostMs)}.`)
  if (await ask.yes('Write these answers to a file?', true)) {
    const path = await ask.text('File:', 'migration.yaml', (text) =>
      existsSync(text) ? `${text} exists: choose another name.` : true,
    )
    writeWhole(path, wizardYaml(answers))
    say(`  Written. Run it again: ferrite-migrate migrate -c ${path}`)
  }
  if (!ready) {
    say('  It would be refused as it stands: see the checks above.')
    return null
  }
  return (await ask.yes('Start now?', true)) ? config : null
}

function askMode(): Promise<'live' | 'snapshot' | 'incremental'> {
  return ask.choice('Migration mode:', [
    { name: 'Live (zero-downtime)', value: 'live' as const },
    { name: 'Snapshot (point-in-time)', value: 'snapshot' as const },
    { name: 'Incremental (scheduled syncs)', value: 'incremental' as const },
  ])
}

async function sourceOf(
  kind: SourceKind,
  registry: Registry,
  context: Context,
  say: (text: string) => void,
): Promise<EndAnswer> {
  if (kind === 'redis' || kind === 'memcached') {
    const fallback = kind === 'redis' ? 'redis://localhost:6379' : 'memcached://localhost:11211'
    return askSource(
      { message: 'Source connection string:', fallback, toUrl: (text) => text, options: {} },
      registry,
      context,
      say,
    )
  }
  let options: Record<string, string> = kind === 'aof' ? { rebuild: 'true' } : {}
  if (kind === 'rows') {
    const key = await ask.text("Name of a row's key, with fields in braces:", 'row:{id}')
    const type = await ask.choice('What a row becomes:', [
      { name: 'Hash, a field for each column', value: 'hash' },
      { name: 'String, the row as JSON', value: 'json' },
    ])
    options = { key, type }
  }
  const toUrl = (path: string): string => fileUrlOf(kind === 'rows' ? (rowScheme(path) ?? 'csv') : kind, path)
  return askSource({ message: 'Source file:', fallback: undefined, toUrl, options }, registry, context, say)
}

/** Some of the source's keys, and how fast the target takes them. */
async function quickLook(
  source: EndAnswer,
  target: EndAnswer,
  registry: Registry,
  context: Context,
  say: (text: string) => void,
): Promise<SourceAnalysis> {
  say('  Looking at some keys ...')
  const options = ({ options: given, password }: EndAnswer): Record<string, string> => ({
    ...given,
    ...(password === undefined ? {} : { password }),
  })
  await using from = await registry.source(source.url, {}, options(source), context)
  await using to = await registry.target(target.url, {}, options(target), context)
  return await analyzeSource(from, to, {
    sample: SAMPLE,
    full: false,
    topKeys: 0,
    topPatterns: PATTERNS,
    maxRate: SAMPLE,
    signal: context.signal,
  })
}

/** Groups of names that the source holds, to leave some of them out. */
async function askFilters({ summary }: SourceAnalysis, say: (text: string) => void): Promise<string[]> {
  const patterns = summary.patterns.filter(({ pattern }) => pattern.includes('*') && pattern !== '*')
  if (patterns.length > 0)
    return ask.several(
      'Keys to leave out (space marks, enter goes on):',
      patterns.map(({ pattern, keys }) => ({ name: `${pattern}  about ${formatCount(keys)} keys`, value: pattern })),
    )
  say('  No groups of names were found to leave out.')
  return []
}
