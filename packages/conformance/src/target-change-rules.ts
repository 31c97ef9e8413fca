import { type ChangeBatch, type Checkpoint, changeOf, MigrateError, stringRecord } from '@ferrite-migrate/contracts'
import { type Check, ensure } from './harness.js'
import { decodedOf } from './samples.js'
import { batchOf, type TargetSubject, valueAt, withoutReplay } from './target-subject.js'

const SHARD = '0'
const MIGRATION = 'kit'
const ROUNDS = 40

/** Places in a stream that goes on from check to check. */
let place = 0

const changes = (...commands: readonly (readonly string[])[]): ChangeBatch => ({
  kind: 'changes',
  lane: 0,
  records: commands.map((argv) => ({ ...changeOf(0, argv), at: ++place })),
})
const checkpointAt = (position: string, dirty: Checkpoint['dirty'] = []): Checkpoint => ({
  migration: MIGRATION,
  shard: SHARD,
  position,
  dirty,
})

async function textAt({ target }: TargetSubject, key: string): Promise<string | null> {
  const record = await valueAt(target, key)
  if (record === null) return null
  const value = decodedOf(record)
  return value.form === 'items' ? value.items[0].toString() : null
}

/** The number that the batch of a checkpoint wrote, and that its position has. */
const roundOf = (text: string | null | undefined): number => Number(text?.split(':').at(-1) ?? -1)

/** Looks at batch and checkpoint, one behind the other, in both orders. */
async function together(subject: TargetSubject): Promise<void> {
  const position = async (): Promise<number> => roundOf((await subject.target.checkpoint(MIGRATION, SHARD))?.position)
  const first = await position()
  const value = roundOf(await textAt(subject, 'round'))
  ensure(value >= first, `the checkpoint stood at ${first}, and its batch was not there: the value was ${value}`)
  const then = await position()
  ensure(then >= value, `the batch ${value} was there, and its checkpoint was not: it stood at ${then}`)
}

async function errorOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => null,
    (error: unknown) => error,
  )
}

/** What a target does with changes and checkpoints. */
export const targetChangeRules: readonly Check<TargetSubject>[] = [
  {
    rule: 'T13',
    name: 'applies changes in order',
    skips: withoutReplay,
    run: async (subject) => {
      const { target } = subject
      const result = await target.write(changes(['SET', 'a', '1'], ['SET', 'a', '2'], ['SET', 'b', '1'], ['DEL', 'b']))
      ensure(result.failed.length === 0, `failed: ${result.failed.map(({ reason }) => reason).join('; ')}`)
      ensure((await textAt(subject, 'a')) === '2', 'the last of two changes is not what is there')
      ensure((await textAt(subject, 'b')) === null, 'what a change deleted is there')
      await Promise.all(Array.from({ length: 20 }, (_, i) => target.write(changes(['SET', 'c', String(i)]))))
      ensure((await textAt(subject, 'c')) === '19', 'the last batch of changes is not what is there')
    },
  },
  {
    rule: 'T13',
    name: 'tells of the keys of a change that it refuses, and applies the others',
    skips: withoutReplay,
    run: async (subject) => {
      const { failed } = await subject.target.write(
        changes(['SET', 'before', '1'], ['NOSUCHCOMMAND', 'k', '1'], ['SET', 'after', '1']),
      )
      ensure(
        failed.length > 0 && failed.every(({ reason }) => reason !== ''),
        'a change that is no command did not fail',
      )
      ensure((await textAt(subject, 'before')) === '1', 'a change before a refused one is not there')
      ensure((await textAt(subject, 'after')) === '1', 'a change behind a refused one is not there')
    },
  },
  {
    rule: 'T14',
    name: 'keeps a checkpoint with its batch, and out of sight',
    skips: withoutReplay,
    run: async ({ target }) => {
      const dirty = [{ db: 2, key: Buffer.from([0, 255]) }]
      await target.write(changes(), checkpointAt('here:1:0', dirty))
      const found = await target.checkpoint(MIGRATION, SHARD)
      ensure(
        found?.position === 'here:1:0' && found.dirty[0]?.db === 2 && found.dirty[0].key.equals(dirty[0].key),
        'the checkpoint reads back differently',
      )
      const reader = target.reader()
      try {
        for await (const page of reader.keys()) ensure(page.length === 0, 'the checkpoint is listed as a key')
      } finally {
        await reader.close()
      }
      ensure((await target.checkpoint(MIGRATION, 'another')) === undefined, 'another shard has the same checkpoint')
      ensure((await target.checkpoint('another', SHARD)) === undefined, 'another migration has the same checkpoint')
      await target.forget(MIGRATION, SHARD)
      ensure((await target.checkpoint(MIGRATION, SHARD)) === undefined, 'the checkpoint is still there')
    },
  },
  {
    rule: 'T14',
    name: 'makes a checkpoint durable in one step with its batch',
    skips: withoutReplay,
    run: async (subject) => {
      const { target } = subject
      await target.write(changes(['SET', 'round', '0']), checkpointAt('at:0'))
      let writing = true
      const writes = (async () => {
        for (let round = 1; round <= ROUNDS; round++)
          await target.write(changes(['SET', 'round', String(round)]), checkpointAt(`at:${round}`))
      })().finally(() => {
        writing = false
      })
      const looks = (async () => {
        while (writing) await together(subject)
      })()
      await Promise.all([writes, looks])
      await together(subject)
      ensure((await textAt(subject, 'round')) === String(ROUNDS), 'the last batch is not there')
    },
  },
  {
    rule: 'T15',
    name: 'throws FM_TARGET_LOST when it may have lost something, until reconnect',
    skips: (subject) => (subject.lose === undefined ? 'the subject has no `lose`' : null),
    run: async (subject) => {
      const { target } = subject
      await target.write(batchOf([stringRecord('kept', '1')]))
      await subject.lose?.()
      const snapshot = (): Promise<unknown> => target.write(batchOf([stringRecord('behind', '1')]))
      const change = (): Promise<unknown> => target.write(changes(['SET', 'behind', '1']), checkpointAt('at:1'))
      const works = target.dialect.replay ? [snapshot, change, snapshot] : [snapshot, snapshot]
      for (const work of works) {
        const error = await errorOf(work())
        ensure(error instanceof MigrateError, `a write to a target that was lost ends with ${error}`)
        ensure(error.code === 'FM_TARGET_LOST', `a write to a target that was lost ends with ${error.code}`)
      }
      ensure(target.reconnect !== undefined, 'the target throws FM_TARGET_LOST, and has no `reconnect`')
      await target.reconnect()
      ensure((await valueAt(target, 'behind')) === null, 'a write that was refused was written')
      await target.write(batchOf([stringRecord('behind', '2')]))
      ensure((await valueAt(target, 'behind')) !== null, 'nothing can be written after reconnect')
    },
  },
]
