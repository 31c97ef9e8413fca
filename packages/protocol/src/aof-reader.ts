import { MigrateError, PackedChange } from '@ferrite-migrate/contracts'
import type { Block, ByteWindow } from './byte-window.js'
import { CommandScan, INCOMPLETE } from './command-scan.js'
import { databaseNumber } from './database-number.js'

/** Bytes of a line that is no command; of a transaction, which is held until its end; and of memory for each of its commands. */
const MOST_COMMENT = 64 << 10
const MOST_TRANSACTION = 1 << 30
const RECORD_BYTES = 128

export interface AofReaderOptions {
  /** Database that is selected where the reading starts. */
  readonly db?: number
  /** Bytes of the file before the window's first. */
  readonly offset?: number
  /** Stop before the first command written after this time, ms; only files with time marks know it. */
  readonly before?: number
  readonly batchCommands?: number
}

/** Commands of an append-only file, in order; a transaction is never split. */
export interface AofBatch {
  readonly records: PackedChange[]
  readonly byteLength: number
  /** Bytes of the file up to the end of the last command. */
  readonly offset: number
  readonly db: number
  /** The last time mark before the batch's first command, ms; 0 = none yet. */
  readonly time: number
  release(): void
}

export interface AofEnd {
  /** `before` was reached. */
  readonly stopped: boolean
  /** Bytes behind the last whole command or transaction, which were left out. */
  readonly truncatedBytes: number
  /** The bytes left out begin an unfinished MULTI. */
  readonly unfinishedMulti: boolean
  readonly offset: number
}

const BATCH_BYTES = 512 << 10
const HASH = 35

/**
 * Reads commands from an append-only file. Time marks (`#TS:<unix seconds>`) end a batch, so that all commands of one have
 * the same time.
 * @throws MigrateError FM_AOF_CORRUPT with the byte offset for damage that is no truncated tail
 */
export class AofReader {
  end: AofEnd | null = null
  private readonly window: ByteWindow
  private readonly options: AofReaderOptions
  private readonly scan = new CommandScan()
  private readonly origin: number
  private time = 0

  constructor(window: ByteWindow, options: AofReaderOptions = {}) {
    this.window = window
    this.options = options
    this.origin = window.offset() - (options.offset ?? 0)
  }

  private get offset(): number {
    return this.window.offset() - this.origin
  }

  async *read(): AsyncGenerator<AofBatch> {
    const { window, scan, options } = this
    const most = options.batchCommands ?? 1000
    let db = options.db ?? 0
    let records: PackedChange[] = []
    let blocks: Block[] = []
    let from = this.offset
    /** Where a transaction began, and what stood before it. */
    let multi: { readonly offset: number; readonly records: number; readonly db: number } | null = null
    const batch = (): AofBatch => {
      const held = blocks
      const made: AofBatch = {
        records,
        byteLength: this.offset - from,
        offset: this.offset,
        db,
        time: this.time,
        release: () => {
          for (const block of held) block.release()
        },
      }
      records = []
      blocks = []
      from = this.offset
      return made
    }
    for (;;) {
      const { data, end } = window
      scan.base = window.offset(0) - this.origin
      let held = false
      let incomplete = false
      while (multi !== null || (records.length < most && this.offset - from < BATCH_BYTES)) {
        while (window.pos < end && (data[window.pos] === 10 || data[window.pos] === 13)) window.pos++
        if (window.pos < end && data[window.pos] === HASH) {
          const line = data.indexOf(10, window.pos)
          if (line < 0 || line >= end) {
            if (end - window.pos > MOST_COMMENT) throw corrupt(endless(this.offset, 'a comment'))
            incomplete = true
            break
          }
          const mark = /^#TS:(\d{1,12})\r?$/.exec(data.toString('latin1', window.pos, line))
          if (mark !== null && multi === null) {
            if (records.length > 0) yield batch()
            this.time = Number(mark[1]) * 1000
            if (options.before !== undefined && this.time > options.before) {
              this.end = { stopped: true, truncatedBytes: 0, unfinishedMulti: false, offset: this.offset }
              return
            }
          }
          window.pos = line + 1
          continue
        }
        const at = window.pos
        let next: number
        try {
          next = scan.next(data, at, end)
        } catch (error) {
          throw corrupt(error)
        }
        if (next === INCOMPLETE) {
          incomplete = true
          break
        }
        const spec = scan.spec(data)
        if (spec.kind === 'multi') multi = { offset: this.offset, records: records.length, db }
        window.pos = next
        if (spec.kind === 'select') db = selected(data, scan.nameEnd, next)
        else if (spec.kind === 'exec') multi = null
        else if (spec.kind !== 'multi' && spec.kind !== 'link') {
          if (!held) {
            blocks.push(window.retain())
            held = true
          }
          records.push(new PackedChange(db, spec.name, data, scan.start, next, this.time))
          if (multi === null && (spec.kind === 'flush' || spec.kind === 'swapdb')) break
          if (multi !== null && this.offset - multi.offset + records.length * RECORD_BYTES > MOST_TRANSACTION)
            throw corrupt(endless(multi.offset, 'a transaction'))
        }
      }
      if (multi === null && records.length > 0) yield batch()
      if (!incomplete) continue
      if (await window.more()) continue
      if (multi !== null) {
        const truncatedBytes = window.offset(window.end) - this.origin - multi.offset
        records.length = multi.records
        db = multi.db
        const { offset } = multi
        if (records.length > 0) yield { ...batch(), offset }
        else for (const block of blocks) block.release()
        this.end = { stopped: false, truncatedBytes, unfinishedMulti: true, offset }
        return
      }
      const truncatedBytes = window.end - window.pos
      this.end = { stopped: false, truncatedBytes, unfinishedMulti: false, offset: this.offset }
      return
    }
  }
}

function endless(at: number, what: string): MigrateError {
  return new MigrateError(
    'FM_STREAM_CORRUPT',
    `the command stream is damaged at byte ${at}: ${what} without end`,
    'Repair a copy with redis-check-aof.',
  )
}

/** The number that SELECT names. */
function selected(data: Buffer, nameEnd: number, end: number): number {
  const start = data.indexOf(10, nameEnd + 2) + 1
  return databaseNumber(data.subarray(start, end - 2), 'the append-only file')
}

function corrupt(error: unknown): unknown {
  if (!(error instanceof MigrateError) || error.code !== 'FM_STREAM_CORRUPT') return error
  return new MigrateError(
    'FM_AOF_CORRUPT',
    error.message.replace('the command stream', 'the append-only file'),
    'Damage in the middle cannot be cut off: repair a copy with redis-check-aof, and look at what it removes.',
    { cause: error },
  )
}
