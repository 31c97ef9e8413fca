import {
  type AdapterContext,
  counted,
  type Finding,
  type KeyReader,
  MigrateError,
  type Shard,
  type Source,
  type SourceCapabilities,
} from '@ferrite-migrate/contracts'
import { filePathOf } from '@ferrite-migrate/files'
import { findAofFiles } from './aof-files.js'
import { type AofInspection, inspectAof } from './aof-inspection.js'
import { AofShard } from './aof-shard.js'
import { RebuiltShard } from './rebuilt-shard.js'
import { RebuiltState } from './rebuilt-state.js'

/** An append-only file as a source: its commands as changes, or the state they lead to as a snapshot. */
export class AofSource implements Source {
  readonly capabilities: SourceCapabilities
  readonly shards: readonly Shard[]
  readonly description: Readonly<Record<string, string>>
  readonly commands?: ReadonlyMap<string, number>
  /** Only a rebuilt state can be read key by key. */
  readonly reader?: () => KeyReader
  /** Where there are time marks, they tell when a command ran. */
  readonly relativeExpiry: boolean
  private readonly inspection: AofInspection
  private readonly state: RebuiltState | null
  private readonly window: Window

  private constructor(context: AdapterContext, path: string, inspection: AofInspection, state: RebuiltState | null) {
    this.window = windowOf(context)
    const { options } = context
    const batchSize = Number(options['batch-size'])
    this.inspection = inspection
    this.state = state
    if (state === null) this.commands = new Map(inspection.byName.map(({ name, count }) => [name, count]))
    this.relativeExpiry = inspection.firstMark !== null
    if (state !== null) this.reader = () => state.reader()
    this.capabilities =
      state === null
        ? { kind: 'file', changes: 'lossless', changesBy: 'file', resume: 'changes', uniqueKeys: true }
        : { kind: 'file', changes: 'none', resume: 'none', uniqueKeys: false }
    this.description = {
      product: 'append-only file',
      file: path,
      files: String(inspection.files.length),
      bytes: String(inspection.byteLength),
      commands: String(inspection.commands),
      capture: state === null ? 'file' : 'file, rebuilt in a server of our own',
    }
    this.shards = [
      state === null
        ? new AofShard('0', {
            files: inspection.files,
            before: this.window.before,
            checksum: options.checksum === true,
            batchSize,
            sliceLimit: Number(options['slice-limit']),
            rdbKeys: inspection.rdbKeys,
          })
        : new RebuiltShard('0', state, batchSize, inspection.byteLength),
    ]
  }

  /** @throws MigrateError FM_FILE_UNREADABLE, FM_AOF_*, FM_RDB_*, FM_OPTION_VALUE */
  static async open(context: AdapterContext): Promise<AofSource> {
    const { options, signal, tempDir } = context
    const path = filePathOf(context.url)
    const { before, after } = windowOf(context)
    const inspection = await inspectAof(await findAofFiles(path), options.checksum === true, signal)
    if ((before !== undefined || after !== undefined) && inspection.firstMark === null)
      throw new MigrateError(
        'FM_AOF_NO_MARKS',
        'the file has no time marks, so nothing tells when its commands were written',
        'Set aof-timestamp-enabled yes at the source; what is written from then on has them.',
      )
    const rebuild = options.rebuild === true || after !== undefined
    const state = rebuild
      ? await RebuiltState.build({
          files: inspection.files,
          before,
          after,
          scratch: options.scratch === undefined ? undefined : String(options.scratch),
          directory: tempDir,
          signal,
        })
      : null
    return new AofSource(context, path, inspection, state)
  }

  async preflight(): Promise<readonly Finding[]> {
    const { truncatedBytes, unfinishedMulti, firstMark, lastMark, commands, rdbKeys, relativeExpiries } =
      this.inspection
    const marks =
      firstMark === null || lastMark === null
        ? 'no time marks'
        : `written from ${new Date(firstMark).toISOString()} to ${new Date(lastMark).toISOString()}`
    return [
      ...windowFindings(this.window, this.inspection),
      {
        level: 'info',
        code: 'source-aof',
        text: `${counted(commands, 'command')} after ${counted(rdbKeys, 'key')} of an RDB, ${marks}`,
      },
      ...(relativeExpiries === 0
        ? []
        : [
            {
              level: 'warn' as const,
              code: 'source-relative-expiry',
              text: `${counted(relativeExpiries, 'command')} set times to live that count from when they ran, and stand before any time mark: they count from now`,
            },
          ]),
      ...(truncatedBytes === 0
        ? []
        : [
            {
              level: 'warn' as const,
              code: 'source-truncated',
              text: `the last ${truncatedBytes} bytes are ${unfinishedMulti ? 'an unfinished MULTI' : 'an unfinished command'} and are left out`,
            },
          ]),
    ]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.state?.server.stop()
  }
}

/** What of a file is wanted, ms. */
interface Window {
  readonly before: number | undefined
  readonly after: number | undefined
}

/** @throws MigrateError FM_OPTION_VALUE */
function windowOf({ options }: AdapterContext): Window {
  const before = timeOf(options.before, 'before')
  const after = timeOf(options.after, 'after')
  if (before !== undefined && after !== undefined && after >= before)
    throw new MigrateError('FM_OPTION_VALUE', '--after is not before --before', 'Give a window that has a length.')
  return { before, after }
}

/** A window that the file has nothing for is refused: whoever names a moment wants what was there then. */
function windowFindings(
  { before, after }: Window,
  { firstMark, lastMark, baseTime, rdbKeys }: AofInspection,
): readonly Finding[] {
  if (firstMark === null || lastMark === null) return []
  const at = (ms: number): string => new Date(ms).toISOString()
  const marks = `the time marks of the file go from ${at(firstMark)} to ${at(lastMark)}`
  const refuse = (code: string, text: string): readonly Finding[] => [{ level: 'fail', code, text }]
  if (after !== undefined && after >= lastMark)
    return refuse('source-window-empty', `nothing was written after ${at(after)}: ${marks}`)
  if (before === undefined) return []
  if (before < firstMark && rdbKeys === 0)
    return refuse('source-window-empty', `nothing was written before ${at(before)}: ${marks}`)
  if (baseTime !== null && rdbKeys > 0 && baseTime > before)
    return refuse(
      'source-base-newer',
      `the file begins with what was there at ${at(baseTime)}, after ${at(before)}: it does not know that moment; ${marks}`,
    )
  return []
}

/** A time with its zone as ms. */
function timeOf(value: string | number | boolean | undefined, name: string): number | undefined {
  if (value === undefined) return undefined
  const text = String(value)
  const at = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
    ? Date.parse(text)
    : Number.NaN
  if (Number.isNaN(at))
    throw new MigrateError(
      'FM_OPTION_VALUE',
      `option ${name}: "${text.slice(0, 60)}" is no time`,
      'Write it with its zone, such as 2026-12-01T02:00:00Z.',
    )
  return at
}
