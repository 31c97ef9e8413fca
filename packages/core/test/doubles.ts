import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemoryTarget } from '@ferrite-migrate/conformance'
import type {
  ChangeBatch,
  ChangeRecord,
  Checkpoint,
  SnapshotBatch,
  SnapshotRecord,
  WriteResult,
} from '@ferrite-migrate/contracts'
import { commandRecord } from '@ferrite-migrate/protocol'
import { afterAll } from 'vitest'

export const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

/** A string under a name. */
export function record(key: string, value = 'v', expireAt = 0, db = 0): SnapshotRecord {
  return { db, key: bytes(key), value: { form: 'items', type: 'string', items: [bytes(value)] }, expireAt }
}

export function command(...words: string[]): ChangeRecord {
  return commandRecord(0, words.map(bytes), Date.now())
}

export const words = (one: ChangeRecord): string => one.argv.map((word) => word.toString('latin1')).join(' ')
export const names = (keys: Iterable<{ readonly key: Buffer }>): string[] =>
  [...keys].map(({ key }) => key.toString('latin1'))

export const NOTHING: WriteResult = { written: 0, skipped: 0, deleted: 0, byteLength: 0, failed: [], notCarried: [] }

/** Until all that could go on at once has done so. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A directory that is gone after the tests of its file. */
export function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'fm-core-'))
  afterAll(() => rmSync(made, { recursive: true, force: true }))
  return made
}

type Batch = SnapshotBatch | ChangeBatch

/** A target that does with each batch what a test says. */
export class ScriptedTarget extends MemoryTarget {
  readonly taken: Batch[] = []
  readonly checkpoints: (Checkpoint | undefined)[] = []
  private readonly script: (batch: Batch) => Promise<WriteResult>

  constructor(script: (batch: Batch) => Promise<WriteResult> = async () => NOTHING) {
    super()
    this.script = script
  }

  override write(batch: Batch, checkpoint?: Checkpoint): Promise<WriteResult> {
    this.taken.push(batch)
    this.checkpoints.push(checkpoint)
    return this.script(batch)
  }
}

/** A target that answers for a batch when a test says so. */
export class HeldTarget extends ScriptedTarget {
  private readonly held: PromiseWithResolvers<WriteResult>[]

  constructor() {
    const held: PromiseWithResolvers<WriteResult>[] = []
    super(() => {
      const one = Promise.withResolvers<WriteResult>()
      held.push(one)
      return one.promise
    })
    this.held = held
  }

  answer(place: number): void {
    this.held[place].resolve(NOTHING)
  }

  fail(place: number, message: string): void {
    this.held[place].reject(new Error(message))
  }
}
