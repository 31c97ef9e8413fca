import { type ChangeRecord, stringRecord } from '@ferrite-migrate/contracts'
import { parseDump } from '@ferrite-migrate/protocol'
import type { MemoryStore } from './memory-store.js'

/** Does what a command says. @returns false = it is none of the few that memory knows */
type Command = (store: MemoryStore, change: ChangeRecord) => boolean

const text = (argument: Buffer | undefined): string => (argument ?? Buffer.alloc(0)).toString('latin1')

/** The end that the words of a SET name, absolute ms; 0 = none. */
function endOf({ argv, receivedAt }: ChangeRecord, former: number): number {
  for (let at = 3; at < argv.length; at++) {
    const time = Number(text(argv[at + 1]))
    switch (text(argv[at]).toUpperCase()) {
      case 'PXAT':
        return time
      case 'EXAT':
        return time * 1000
      case 'PX':
        return receivedAt + time
      case 'EX':
        return receivedAt + time * 1000
      case 'KEEPTTL':
        return former
    }
  }
  return 0
}

const remove: Command = (store, { db, argv }) => {
  for (const key of argv.slice(1)) store.delete(db, key)
  return true
}

/** What a source of strings has to say, and what a target needs to take it. */
const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  [
    'SET',
    (store, change) => {
      const { db, argv } = change
      const [, key, value] = argv
      store.set(stringRecord(key, value, { db, expireAt: endOf(change, store.get(db, key)?.expireAt ?? 0) }))
      return true
    },
  ],
  [
    'MSET',
    (store, { db, argv }) => {
      for (let at = 1; at + 1 < argv.length; at += 2) store.set(stringRecord(argv[at], argv[at + 1], { db }))
      return true
    },
  ],
  [
    'RESTORE',
    (store, { db, argv, receivedAt }) => {
      const [, key, ttl, payload] = argv
      const words = argv.slice(4).map((word) => text(word).toUpperCase())
      const time = Number(text(ttl))
      const expireAt = time === 0 || words.includes('ABSTTL') ? time : receivedAt + time
      store.set({ db, key, value: parseDump(payload), expireAt })
      return true
    },
  ],
  ['DEL', remove],
  ['UNLINK', remove],
  [
    'PEXPIREAT',
    (store, { db, argv }) => {
      const record = store.get(db, argv[1])
      if (record !== null) store.set({ ...record, expireAt: Number(text(argv[2])) })
      return true
    },
  ],
  [
    'FLUSHALL',
    (store) => {
      store.records.clear()
      return true
    },
  ],
])

/**
 * Runs a command over memory, which knows those that set, restore and delete whole keys.
 * @returns false when it is none of them
 */
export function runCommand(store: MemoryStore, change: ChangeRecord): boolean {
  return COMMANDS.get(change.name)?.(store, change) ?? false
}
