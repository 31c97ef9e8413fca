import { describe, expect, it } from 'vitest'
import { readQueueAddress } from '../dist/connection/queue-address.js'
import { controlFields, readControl } from '../dist/protocol/told.js'
import { fromWire, toWire } from '../dist/protocol/wire.js'

describe('a message of a queue', () => {
  it('carries bytes as they are', () => {
    const key = Buffer.from([0, 255, 10, 13, 128])
    const message = { kind: 'changed', keys: [{ db: 3, key }], nothing: null, text: 'ä"\\' }
    expect(fromWire(toWire(message))).toEqual(message)
    expect(fromWire(toWire({ key: new Uint8Array(key) }))).toEqual({ key })
    // A slice is not the block that it is a part of.
    expect(fromWire(toWire({ key: key.subarray(1, 3) }))).toEqual({ key: Buffer.from([255, 10]) })
  })
})

describe('what workers are to do', () => {
  it('reads as it was written', () => {
    const change = {
      paused: true,
      ending: 'read',
      tracking: false,
      frozen: true,
      grouping: 'whole',
      round: 'r1',
    } as const
    const fields = controlFields(change)
    const hash = Object.fromEntries(Array.from({ length: fields.length / 2 }, (_, i) => fields.slice(i * 2, i * 2 + 2)))
    expect(readControl({ ...hash, version: '7' })).toEqual({ ...change, version: 7 })
  })

  it('is nothing where there is no round', () => {
    expect(readControl({})).toBeNull()
    expect(readControl({ round: 'r', ending: 'sometime' })).toMatchObject({ ending: '', grouping: 'apart', version: 0 })
  })
})

describe('the address of a queue', () => {
  it('names its server, its database and its name', () => {
    const address = readQueueAddress('rediss://someone:s%40cret@queue.example.com:7000/3?name=team-a&tls-verify=false')
    expect(address).toMatchObject({
      label: expect.stringContaining('queue.example.com:7000'),
      prefix: '{ferrite-migrate}team-a',
    })
    expect(address.options).toMatchObject({
      host: 'queue.example.com',
      port: 7000,
      db: 3,
      username: 'someone',
      password: 's@cret',
    })
    expect(address.options.tls).toMatchObject({ rejectUnauthorized: false })
    expect(address.label).not.toContain('s@cret')
  })

  it.each(['redis://queue?name=a%20b', 'redis-sentinel://a,b/main', 'unix:///tmp/q.sock'])('is refused: %s', (url) => {
    expect(() => readQueueAddress(url)).toThrow(expect.objectContaining({ code: 'FM_URL_INVALID' }))
  })
})
