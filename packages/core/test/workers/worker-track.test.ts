import { expect, it } from 'vitest'
import { WorkerTrack } from '../../dist/workers/worker-track.js'
import { command, record } from '../doubles.js'

it('gives what came since the last time, once', () => {
  const track = new WorkerTrack(false)
  expect(track.take()).toBe(null)
  track.add(command('SET', 'a', '1'))
  track.addKeys([record('b')])
  expect(track.take()).toEqual({
    ...{ kind: 'changed', overflow: false, resynced: false, frozen: false },
    keys: [record('a'), record('b')].map(({ db, key }) => ({ db, key })),
  })
  expect(track.take()).toBe(null)
})

it('tells of what names no keys as well, once', () => {
  const track = new WorkerTrack(true)
  track.add(command('FLUSHALL'))
  expect(track.take()).toMatchObject({ keys: [], overflow: true, frozen: true })
  expect(track.take()).toBe(null)
  track.resynced = true
  expect(track.take()).toMatchObject({ keys: [], overflow: true, resynced: true })
})

it('keeps its own bytes of a key', () => {
  const track = new WorkerTrack(false)
  const { db, key } = record('a')
  track.addKeys([{ db, key }])
  key.fill(0)
  expect(track.take()).toMatchObject({ keys: [{ db: 0, key: record('a').key }] })
})
