import { type Checkpoint, MigrateError } from '@ferrite-migrate/contracts'

/** A checkpoint as the value of its key: JSON with the position and the keys to read again (base64). */
export function encodeCheckpoint(checkpoint: Checkpoint): string {
  const dirty = checkpoint.dirty.map(({ db, key }) => [db, key.toString('base64')])
  return JSON.stringify(dirty.length > 0 ? { position: checkpoint.position, dirty } : { position: checkpoint.position })
}

/** @throws MigrateError FM_CHECKPOINT_INVALID */
export function decodeCheckpoint(migration: string, shard: string, text: string): Checkpoint {
  try {
    const { position, dirty = [] } = JSON.parse(text) as { position: string; dirty?: [number, string][] }
    if (typeof position !== 'string') throw new Error('no position')
    return { migration, shard, position, dirty: dirty.map(([db, key]) => ({ db, key: Buffer.from(key, 'base64') })) }
  } catch (cause) {
    throw new MigrateError(
      'FM_CHECKPOINT_INVALID',
      `the checkpoint of ${migration} at the target cannot be read`,
      'Start a new migration without --resume.',
      { cause },
    )
  }
}
