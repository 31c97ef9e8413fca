import { readFileSync } from 'node:fs'
import { MigrateError, parseOption } from '@ferrite-migrate/contracts'
import * as v from 'valibot'
import { type Document, isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseDocument, Scalar, visit } from 'yaml'
import type { MigrationConfig } from './config.js'
import { type FileEnd, fileSchema, type MigrationFile } from './file-schema.js'

/** Fields that are text whatever they look like. */
const TEXT = new Set(['password', 'username', 'user'])

interface Problem {
  readonly offset: number
  readonly text: string
}

/**
 * Reads migration.yaml. `${VAR}` and `${VAR:-default}` in values come from the environment.
 * @throws MigrateError FM_FILE_UNREADABLE; FM_CONFIG_INVALID naming line, column and field of everything that is wrong
 */
export function readConfigFile(path: string, environment: NodeJS.ProcessEnv = process.env): MigrationConfig {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new MigrateError(
      'FM_FILE_UNREADABLE',
      `the configuration ${path} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'})`,
      'Check the path and its permissions.',
      { cause },
    )
  }
  return parseConfig(text, path, environment)
}

/** The same for a text; `name` is only for error messages. */
export function parseConfig(text: string, name: string, environment: NodeJS.ProcessEnv = process.env): MigrationConfig {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true })
  const problems: Problem[] = [...document.errors].map((error) => ({ offset: error.pos[0], text: error.message }))
  if (problems.length === 0) problems.push(...substitute(document, environment))
  if (problems.length === 0) {
    const checked = v.safeParse(fileSchema, document.toJS() ?? {})
    if (checked.success) return toConfig(checked.output)
    problems.push(...checked.issues.flatMap((issue) => toProblems(document, issue)))
  }
  const where = ({ offset, text: what }: Problem): string => {
    const { line, col } = lines.linePos(offset)
    return `${name}, line ${line}, column ${col}: ${what}`
  }
  throw new MigrateError(
    'FM_CONFIG_INVALID',
    problems
      .sort((a, b) => a.offset - b.offset)
      .slice(0, 20)
      .map(where)
      .join('\n'),
    'docs/configuration.md lists all fields; ferrite-migrate config validate checks a file without running it.',
  )
}

/** Puts the environment into the scalars. A plain value that becomes a number or a boolean is one. */
function substitute(document: Document, environment: NodeJS.ProcessEnv): Problem[] {
  const problems: Problem[] = []
  visit(document, {
    Scalar(key, node, path) {
      if (key === 'key') return
      const parent = path.at(-1)
      const verbatim = isPair(parent) && isScalar(parent.key) && TEXT.has(String(parent.key.value))
      // A password of digits is text all the same, leading zeros included.
      if (verbatim && typeof node.value === 'number') node.value = node.source ?? String(node.value)
      if (typeof node.value !== 'string' || !node.value.includes('${')) return
      const text = node.value.replace(
        /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g,
        (_, name: string, fallback?: string) => {
          const value = environment[name]
          if (value !== undefined && (value !== '' || fallback === undefined)) return value
          if (fallback !== undefined) return fallback
          problems.push({ offset: node.range?.[0] ?? 0, text: `the environment variable ${name} is not set` })
          return ''
        },
      )
      const plain = node.type === Scalar.PLAIN && !verbatim
      node.value =
        plain && /^-?\d{1,15}$/.test(text)
          ? Number(text)
          : plain && /^(true|false)$/.test(text)
            ? text === 'true'
            : text
    },
  })
  return problems
}

/** Where a field stands: at its key, or the nearest thing that is there. */
function offsetOf(document: Document, path: readonly (string | number)[]): number {
  let node: unknown = document.contents
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => (isScalar(item.key) ? String(item.key.value) : '') === String(step))
      if (pair === undefined) break
      if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(step)]
      if (isNode(node)) offset = node.range?.[0] ?? offset
    } else break
  }
  return offset
}

function toProblems(document: Document, issue: v.BaseIssue<unknown>): Problem[] {
  // Of a choice between forms the branch that comes nearest tells most.
  const deeper = (issue.issues ?? []).filter((one) => one.path !== undefined && one.type !== 'object')
  if (deeper.length > 0)
    return deeper.flatMap((one) =>
      toProblems(document, { ...one, path: [...(issue.path ?? []), ...(one.path ?? [])] } as v.BaseIssue<unknown>),
    )
  const path = (issue.path ?? []).map((step) => (step.type === 'array' ? Number(step.key) : String(step.key)))
  const field = path.join('.') || 'the file'
  const offset = offsetOf(document, path)
  if (issue.type === 'strict_object' && issue.expected === 'never')
    return [{ offset, text: `${field}: there is no such field` }]
  if (issue.received === 'undefined') return [{ offset, text: `${field}: is missing` }]
  const said = /must be|such as|only|a scheme/.test(issue.message)
    ? issue.message
    : `must be ${issue.expected ?? 'something else'}, not ${issue.received}`
  return [{ offset, text: `${field}: ${said.replace(/^Invalid \w+: /, '')}` }]
}

function bytes(value: string | number | undefined, name: string): number | undefined {
  return value === undefined
    ? undefined
    : (parseOption({ name, type: 'bytes', description: 'Give a size such as 16gb.' }, value) as number)
}

function milliseconds(value: string | number | undefined, name: string): number | undefined {
  return value === undefined
    ? undefined
    : (parseOption(
        { name, type: 'duration', description: 'Give seconds, or a duration such as 30m.' },
        value,
      ) as number)
}

interface End {
  readonly url: string
  readonly options: Record<string, string | number | boolean>
}

function toEnd(given: FileEnd, field: string): End {
  if (typeof given === 'string') return { url: given, options: {} }
  const { type = 'redis', url, host, port, db, path, username, password, tls, options } = given
  if (url === undefined && host === undefined && path === undefined)
    throw new MigrateError('FM_CONFIG_INVALID', `${field}: needs host, path or url`, 'Say where it is.')
  const secure = tls !== undefined && tls !== false
  const files = typeof tls === 'object' ? tls : {}
  const named = { ca: files.ca, cert: files.cert, key: files.key, servername: files.servername, verify: files.verify }
  const scheme = path !== undefined && (type === 'redis' || type === 'ferrite') ? 'redis+unix' : type
  const place =
    path === undefined
      ? `${host?.includes(':') ? `[${host}]` : host}:${port ?? 6379}${db === undefined ? '' : `/${db}`}`
      : path
  return {
    url: url ?? `${scheme}://${place}`,
    options: {
      ...options,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined || password === '' ? {} : { password }),
      ...(secure ? { tls: true } : {}),
      ...Object.fromEntries(
        Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [[`tls-${name}`, value]])),
      ),
    },
  }
}

/** Fields that are not given stay out, so that defaults and flags can fill them. */
function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}

function toConfig(file: MigrationFile): MigrationConfig {
  const source = toEnd(file.source, 'source')
  const target = toEnd(file.target, 'target')
  const { options = {}, notifications = {} } = file
  return {
    source: source.url,
    target: target.url,
    sourceOptions: source.options,
    targetOptions: options.allow_eviction ? { ...target.options, 'allow-eviction': true } : target.options,
    ...defined({
      id: file.id,
      mode: file.mode,
      parallel: options.parallel_workers,
      batchSize: options.batch_size,
      syncTimeoutMs: milliseconds(options.sync_timeout, 'options.sync_timeout'),
      cutoverMaxLag: options.cutover_max_lag,
      keyTemplate: options.transform_keys,
      dbMap: options.db_map,
      unsupported: options.unsupported,
      onConflict: options.on_conflict,
      deleteExtra: options.delete_extra,
      capture: options.capture,
      apply: options.apply,
      verify: options.verify,
      exit: options.exit,
      untilLag: options.until_lag,
      spoolLimit: bytes(options.spool_limit, 'options.spool_limit'),
      maxRate: options.max_rate,
      maxSourceCpu: options.max_source_cpu,
      maxSourceLatencyMs: milliseconds(options.max_source_latency, 'options.max_source_latency'),
      undo: options.undo,
      undoLimit: bytes(options.undo_limit, 'options.undo_limit'),
      autoRollback: options.auto_rollback,
      rollbackOnErrorRate: options.rollback_on_error_rate,
      intervalMs: milliseconds(options.interval, 'options.interval'),
      schedule: options.schedule,
      once: options.once,
      stateDir: options.state_dir,
      filter: file.filters,
    }),
    notifications: defined({
      slack: notifications.slack || undefined,
      email: notifications.email || undefined,
      webhook: notifications.webhook || undefined,
      lagAlarm: notifications.lag_alarm,
      smtp:
        notifications.smtp && defined({ ...notifications.smtp, password: notifications.smtp.password || undefined }),
    }),
  }
}
