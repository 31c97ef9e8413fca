import { describe, expect, it } from 'vitest'
import { type AdapterContext, changeOf, defineSource, splitCommand, stringRecord } from '../dist/index.js'

const CONTEXT: AdapterContext = {
  url: 'x://',
  options: {},
  logger: { log: () => undefined, enabled: () => false },
  signal: new AbortController().signal,
  tempDir: '/',
}

describe('what an adapter is made of', () => {
  it('a change has the bytes of its arguments and its name in upper case', () => {
    const change = changeOf(3, ['set', 'é', Buffer.from([0, 255, 13, 10])], 5)
    expect(change).toMatchObject({ db: 3, name: 'SET', receivedAt: 5 })
    expect(change.resp.toString('latin1')).toBe('*3\r\n$3\r\nset\r\n$2\r\n\xc3\xa9\r\n$4\r\n\0\xff\r\n\r\n')
    expect(splitCommand(change.resp, 0, change.resp.length)).toEqual(change.argv)
  })

  it('a string is one item', () => {
    expect(stringRecord('k', 'v')).toEqual({
      db: 0,
      key: Buffer.from('k'),
      value: { form: 'items', type: 'string', items: [Buffer.from('v')] },
      expireAt: 0,
    })
    expect(stringRecord(Buffer.from([255]), '', { db: 2, expireAt: 7 })).toMatchObject({ db: 2, expireAt: 7 })
  })

  it('a source is what its function gives, and may have nothing to release', async () => {
    const opened = { capabilities: { changes: 'none', resume: 'none' }, shards: [], description: {} } as const
    const source = await defineSource(async () => ({ ...opened }))(CONTEXT)
    expect(source).toMatchObject(opened)
    await expect(source[Symbol.asyncDispose]()).resolves.toBeUndefined()
  })
})
