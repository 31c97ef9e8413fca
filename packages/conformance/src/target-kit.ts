import type { SnapshotBatch, SnapshotRecord, Target } from '@ferrite-migrate/contracts'
import { type Check, ensure } from './harness.js'
import { digestOf, sampleRecords } from './samples.js'
import { checkReader } from './source-kit.js'

/** What the kit needs to try a target: one that is empty. */
export interface TargetSubject {
  readonly target: Target
}

const batch = (
  records: readonly SnapshotRecord[],
  onConflict: SnapshotBatch['onConflict'] = 'replace',
  lane = 0,
): SnapshotBatch => ({ kind: 'snapshot', lane, records, onConflict })
const text = (key: string, value: string, expireAt = 0): SnapshotRecord => ({
  db: 0,
  key: Buffer.from(key),
  value: { form: 'items', type: 'string', items: [Buffer.from(value)] },
  expireAt,
})

async function value(target: Target, key: string): Promise<SnapshotRecord | null> {
  const reader = target.reader()
  try {
    return (await reader.read(0, [Buffer.from(key)], true))[0]
  } finally {
    await reader.close()
  }
}

/** What every target must do; each check is named after the fault it finds. */
export const targetChecks: readonly Check<TargetSubject>[] = [
  {
    name: 'keeps values byte for byte',
    run: async ({ target }) => {
      const records = sampleRecords()
      const result = await target.write(batch(records))
      ensure(result.failed.length === 0, `failed: ${result.failed.map((one) => one.reason).join('; ')}`)
      ensure(result.written === records.length, `written says ${result.written} of ${records.length}`)
      await checkReader(target.reader(), records)
    },
  },
  {
    name: 'keeps expiries',
    run: async ({ target }) => {
      const expireAt = Date.now() + 3_600_000
      await target.write(batch([text('ttl', 'x', expireAt), text('none', 'x')]))
      ensure(Math.abs(((await value(target, 'ttl'))?.expireAt ?? 0) - expireAt) < 1000, 'the expiry is another')
      ensure((await value(target, 'none'))?.expireAt === 0, 'a key without expiry got one')
    },
  },
  {
    name: 'drops what has expired',
    run: async ({ target }) => {
      await target.write(batch([text('gone', 'old')]))
      const result = await target.write(batch([text('gone', 'x', Date.now() - 1000)]))
      ensure(result.written === 0 && (await value(target, 'gone')) === null, 'an expired key was written or left')
    },
  },
  {
    name: 'replaces, skips or refuses keys that are there',
    run: async ({ target }) => {
      await target.write(batch([text('k', 'old')]))
      const skipped = await target.write(batch([text('k', 'new')], 'skip'))
      ensure(
        skipped.skipped === 1 && digestOf((await value(target, 'k'))!) === digestOf(text('k', 'old')),
        'skip did not skip',
      )
      const failed = await target.write(batch([text('k', 'new')], 'fail'))
      ensure(
        failed.failed[0]?.code === 'conflict' && digestOf((await value(target, 'k'))!) === digestOf(text('k', 'old')),
        'fail did not refuse',
      )
      await target.write(batch([text('k', 'new')]))
      ensure(digestOf((await value(target, 'k'))!) === digestOf(text('k', 'new')), 'replace did not replace')
    },
  },
  {
    name: 'replaces a value of another type whole',
    run: async ({ target }) => {
      const list = (...items: string[]): SnapshotRecord => ({
        db: 0,
        key: Buffer.from('t'),
        value: { form: 'items', type: 'list', items: items.map((item) => Buffer.from(item)) },
        expireAt: 0,
      })
      await target.write(batch([text('t', 'string')]))
      await target.write(batch([list('a', 'b')]))
      await target.write(batch([list('c')]))
      ensure(digestOf((await value(target, 't'))!) === digestOf(list('c')), 'something of the former value is left')
    },
  },
  {
    name: 'applies the batches of a lane in order',
    run: async ({ target }) => {
      await Promise.all(
        Array.from({ length: 50 }, (_, i) => target.write(batch([text('order', String(i))], 'replace', 1))),
      )
      ensure(
        digestOf((await value(target, 'order'))!) === digestOf(text('order', '49')),
        'the last batch is not what is there',
      )
    },
  },
  {
    name: 'deletes',
    run: async ({ target }) => {
      await target.write(batch([text('d', '1'), text('e', '1')]))
      await target.write({ ...batch([]), deletes: [{ db: 0, key: Buffer.from('d') }] })
      ensure((await value(target, 'd')) === null && (await value(target, 'e')) !== null, 'the wrong keys are gone')
    },
  },
  {
    name: 'writes sliced values whole',
    run: async ({ target }) => {
      const slices = (async function* () {
        for (let i = 0; i < 20; i++) yield { items: Array.from({ length: 50 }, (_, n) => Buffer.from(`${i * 50 + n}`)) }
      })()
      await target.write(
        batch([{ db: 0, key: Buffer.from('sliced'), value: { form: 'sliced', type: 'list', slices }, expireAt: 0 }]),
      )
      const want: SnapshotRecord = {
        db: 0,
        key: Buffer.from('sliced'),
        value: { form: 'items', type: 'list', items: Array.from({ length: 1000 }, (_, n) => Buffer.from(String(n))) },
        expireAt: 0,
      }
      ensure(digestOf((await value(target, 'sliced'))!) === digestOf(want), 'the slices do not add up')
    },
  },
  {
    name: 'keeps a checkpoint with its batch, and out of sight',
    run: async ({ target }) => {
      if (!target.dialect.replay) return
      const checkpoint = {
        migration: 'kit',
        shard: '0',
        position: 'here:1:0',
        dirty: [{ db: 2, key: Buffer.from([0, 255]) }],
      }
      await target.write({ kind: 'changes', lane: 0, records: [] }, checkpoint)
      const found = await target.checkpoint('kit', '0')
      ensure(
        found?.position === 'here:1:0' && found.dirty[0]?.key.equals(Buffer.from([0, 255])),
        'the checkpoint reads back differently',
      )
      const reader = target.reader()
      for await (const page of reader.keys()) ensure(page.length === 0, 'the checkpoint is listed as a key')
      await reader.close()
      await target.forget('kit', '0')
      ensure((await target.checkpoint('kit', '0')) === undefined, 'the checkpoint is still there')
    },
  },
]
