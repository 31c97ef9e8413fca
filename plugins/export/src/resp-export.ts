import { MigrateError, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { decodeValue, keyTypeOf, RespWriter, writeTyped } from '@ferrite-migrate/protocol'
import type { ByteSink } from './byte-sink.js'
import type { ExportWriter } from './export-writer.js'

const ABLE = { xsetidCounters: true, xsetid: true, entriesRead: true, fieldExpiry: true, createConsumer: true }

/** Commands, for `redis-cli --pipe`. */
export class RespExport implements ExportWriter {
  private readonly sink: ByteSink
  private db = -1

  constructor(sink: ByteSink) {
    this.sink = sink
  }

  begin(): void {}

  record({ db, key, value, expireAt }: SnapshotRecord): void {
    if (value.form === 'sliced') throw new Error('a value in slices was not made whole')
    if (value.form === 'rdb' && keyTypeOf(value.type, value.rdbVersion) === 'module')
      throw new MigrateError(
        'FM_EXPORT_VALUE',
        `no commands make the module value of ${key.toString('latin1').slice(0, 100)}`,
        'Export an RDB, or leave such keys out by --type.',
      )
    const out = new RespWriter(1024)
    if (db !== this.db) out.call('SELECT', db)
    this.db = db
    out.call('DEL', key)
    writeTyped(out, key, value.form === 'rdb' ? decodeValue(value.type, value.body, value.rdbVersion) : value, ABLE)
    if (expireAt > 0) out.call('PEXPIREAT', key, expireAt)
    this.sink.write(Buffer.from(out.data.subarray(0, out.at)))
  }

  library(source: Buffer): boolean {
    const out = new RespWriter(source.length + 64)
    out.call('FUNCTION', 'LOAD', 'REPLACE', source)
    this.sink.write(Buffer.from(out.data.subarray(0, out.at)))
    return true
  }

  end(): void {}
}
