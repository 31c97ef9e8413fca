import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FaultFile } from '../../dist/transform/fault-file.js'
import { bytes, directory } from '../doubles.js'

const place = directory()

describe('the file of faults', () => {
  it('is made with the first of them, a line each, for its user alone', () => {
    const path = join(place, 'errors.ndjson')
    const file = new FaultFile(path, 'm')
    file.check()
    expect([file.opened, existsSync(path)]).toEqual([false, false])
    file.add({ db: 2, key: bytes('a\xff'), reason: 'it is\nbad' })
    file.add({ db: 0, key: bytes('b'), reason: 'no' })
    file.close()
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { migration: 'm', db: 2, key: 'a\\xff', keyBase64: 'Yf8=', reason: 'it is\nbad' },
      { db: 0, key: 'b', reason: 'no' },
    ])
    expect([file.opened, statSync(path).mode & 0o077]).toEqual([true, 0])
  })

  it('goes on where it was', () => {
    const path = join(place, 'again.ndjson')
    for (let run = 0; run < 2; run++) {
      const file = new FaultFile(path, 'm')
      file.add({ db: 0, key: bytes('a'), reason: 'no' })
      file.close()
    }
    expect(readFileSync(path, 'utf8').trimEnd().split('\n')).toHaveLength(2)
  })

  it('that cannot be written says so before the first key is read', () => {
    const file = new FaultFile('/nowhere/errors.ndjson', 'm')
    expect(() => file.check()).toThrow(expect.objectContaining({ code: 'FM_FILE_UNWRITABLE' }))
    expect(() => file.add({ db: 0, key: bytes('a'), reason: 'no' })).toThrow(
      expect.objectContaining({ code: 'FM_FILE_UNWRITABLE' }),
    )
  })
})
