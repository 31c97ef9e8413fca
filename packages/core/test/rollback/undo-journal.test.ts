import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { SnapshotRecord, Value } from '@ferrite-migrate/contracts'
import { afterAll, expect, it } from 'vitest'
import { type Undo, UndoJournal } from '../../dist/rollback/undo-journal.js'

const directory = mkdtempSync(join(tmpdir(), 'fm-undo-'))
afterAll(() => rmSync(directory, { recursive: true }))

const undo = (db: number, name: string, value?: Value, expireAt = 0): Undo => {
  const key = Buffer.from(name, 'latin1')
  return { db, key, before: value === undefined ? null : ({ db, key, value, expireAt } satisfies SnapshotRecord) }
}
const text = (content: string): Value => ({
  form: 'rdb',
  type: 0,
  rdbVersion: 11,
  body: Buffer.from(content, 'latin1'),
})
const all = (journal: UndoJournal): Undo[] => [...journal.pages()].flat()

it('keeps what keys were first, over a new start, through any form of value', () => {
  const hash: Value = {
    form: 'items',
    type: 'hash',
    items: [Buffer.from([0, 255]), Buffer.alloc(0)],
    fieldExpireAt: [1_800_000_000_000],
  }
  const first = [undo(0, '\0\xff', text('\x01\xfe'), 1_900_000_000_123), undo(3, 'b', hash), undo(0, 'new')]
  const journal = new UndoJournal(directory, 'first', 1 << 30)
  journal.keep(first)
  journal.close()

  const again = new UndoJournal(directory, 'first', 1 << 30)
  expect([again.has(0, Buffer.from('new')), again.has(1, Buffer.from('new'))]).toEqual([true, false])
  again.keep([undo(0, 'new', text('written by the migration')), undo(3, 'b')])
  again.keep([undo(1, 'new', text('x'))])
  const found = all(again)
  expect(found).toEqual([first[0], first[2], undo(1, 'new', text('x')), first[1]])
  again.close()
})

it('forgets a key whole, so that a rollback that is run again does not find what came later', () => {
  const journal = new UndoJournal(directory, 'twice', 1 << 30)
  journal.keep([undo(0, 'a', text('before')), undo(0, 'b')])
  journal.keep([undo(0, 'a', text('after'))])
  for (const page of journal.pages()) {
    journal.drop(page.filter(({ key }) => String(key) === 'a'))
    break
  }
  expect(all(journal)).toEqual([undo(0, 'b')])
  // Its fingerprint is known, its entry is gone: it counts as new.
  expect([journal.has(0, Buffer.from('a')), journal.has(0, Buffer.from('b'))]).toEqual([false, true])
  journal.close()
  const again = new UndoJournal(directory, 'twice', 1 << 30)
  again.keep([undo(0, 'c'), undo(0, 'a', text('now'))])
  expect(all(again)).toEqual([undo(0, 'a', text('now')), undo(0, 'b'), undo(0, 'c')])
  again.close()
})

it('refuses a file that another version wrote', () => {
  const other = new DatabaseSync(join(directory, 'undo-old.db'))
  other.exec('CREATE TABLE undo (db INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY (db, key))')
  other.close()
  expect(() => new UndoJournal(directory, 'old', 1 << 30)).toThrow(
    expect.objectContaining({ code: 'FM_STATE_DIR', message: expect.stringContaining('another version') }),
  )
})

it('says when it is full, and gives pages of one database', () => {
  const journal = new UndoJournal(directory, 'full', 300_000)
  for (let i = 0; i < 3; i++) journal.keep(Array.from({ length: 700 }, (_, n) => undo(i, `key:${n}`, text('value'))))
  const pages = [...journal.pages()]
  expect(pages.every((page) => page.every(({ db }) => db === page[0].db))).toBe(true)
  expect(pages.flat()).toHaveLength(2100)
  expect(() => {
    for (let i = 0; i < 100; i++) journal.keep([undo(9, `large:${i}`, text('x'.repeat(10_000)))])
  }).toThrow(expect.objectContaining({ code: 'FM_UNDO_FULL' }))
  journal.close()
})

it('that cannot be written says so, keeps nothing by halves, and can go on', () => {
  const journal = new UndoJournal(directory, 'locked', 1 << 30)
  journal.keep([undo(0, 'a')])
  const other = new DatabaseSync(join(directory, 'undo-locked.db'))
  other.exec('BEGIN IMMEDIATE')
  expect(() => journal.keep([undo(0, 'b'), undo(0, 'c')])).toThrow(
    expect.objectContaining({ code: 'FM_UNDO_FULL', message: expect.stringContaining('cannot be written: ') }),
  )
  other.exec('ROLLBACK')
  other.close()
  expect(journal.has(0, Buffer.from('b'))).toBe(false)
  journal.keep([undo(0, 'c')])
  expect(all(journal)).toEqual([undo(0, 'a'), undo(0, 'c')])
  journal.close()
}, 20_000)

/** Another process that holds the journal of a migration for a moment; resolves when it has it. */
async function held(migration: string): Promise<ChildProcess> {
  const hold = `const { DatabaseSync } = require('node:sqlite')
const db = new DatabaseSync(${JSON.stringify(join(directory, `undo-${migration}.db`))})
db.exec('BEGIN IMMEDIATE')
console.log('held')
setTimeout(() => db.exec('COMMIT'), 300)`
  const child = spawn(process.execPath, ['-e', hold], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return child
}

it('is opened by a second process when the first one has written', async () => {
  const journal = new UndoJournal(directory, 'shared', 1 << 30)
  const over = once(await held('shared'), 'exit')
  const other = new UndoJournal(directory, 'shared', 1 << 30)
  other.keep([undo(0, 'a', text('x'))])
  await over
  journal.refresh()
  expect(journal.has(0, Buffer.from('a'))).toBe(true)
  for (const one of [journal, other]) one.close()
})
