import { PackedChange } from '@ferrite-migrate/contracts'
import { commandBytes, expiryArgument, PackedExpiry, RespWriter } from '@ferrite-migrate/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const packed = (words: readonly (string | Buffer)[]): PackedChange => {
  const argv = words.map((word) => Buffer.from(word as string))
  const resp = commandBytes(argv)
  // Somewhere in a block, with neighbours.
  const data = Buffer.concat([Buffer.from('+x\r\n'), resp, Buffer.from('*1\r\n$4\r\nPING\r\n')])
  return new PackedChange(0, String(words[0]).toUpperCase(), data, 4, 4 + resp.length, 0)
}

describe('a command in protocol form', () => {
  it('is what the writer writes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 12 }), (list) => {
        const argv = list.map((word) => Buffer.from(word))
        const out = new RespWriter()
        out.call(...argv)
        expect(commandBytes(argv)).toEqual(out.take())
      }),
      { seed: 9 },
    )
  })
})

describe('an expiry in the bytes of its command', () => {
  const find = (...words: (string | Buffer)[]): [number, number, string] | null => {
    const expiry = new PackedExpiry()
    const record = packed(words)
    if (!expiry.find(record)) return null
    return [expiry.value, expiry.unit, record.data.toString('latin1', expiry.keyStart, expiry.keyEnd)]
  }
  it('is found where the command has one', () => {
    expect(find('PEXPIREAT', 'k', '1700000000000')).toEqual([1700000000000, 1, 'k'])
    expect(find('EXPIREAT', 'key', '1700000000')).toEqual([1700000000, 1000, 'key'])
    expect(find('SET', 'k', 'v', 'PXAT', '17')).toEqual([17, 1, 'k'])
    expect(find('SET', 'k', 'v', 'GET', 'exat', '17')).toEqual([17, 1000, 'k'])
    expect(find('GETEX', 'k', 'PXAT', '17')).toEqual([17, 1, 'k'])
  })
  it('is not seen where there is none, or another has to look', () => {
    expect(find('SET', 'PXAT', 'PXAT')).toBeNull()
    expect(find('SET', 'k', 'v', 'PXAT')).toBeNull()
    expect(find('SET', 'k', 'v', 'PX', '17')).toBeNull()
    expect(find('SET', 'k', 'v', 'PXAT', '-17')).toBeNull()
    expect(find('PEXPIREAT', 'k', '17', 'NX')).toBeNull()
    expect(find('SET', ...Array.from({ length: 20 }, () => 'PXAT'))).toBeNull()
    expect(find('INCR', 'k')).toBeNull()
  })
  it('agrees with what the arguments say', () => {
    const word = fc.oneof(
      fc.constantFrom('PXAT', 'exat', 'PX', 'KEEPTTL', 'NX', '1700000000000', '5'),
      fc.string({ maxLength: 6 }),
    )
    fc.assert(
      fc.property(fc.constantFrom('SET', 'GETEX'), fc.array(word, { minLength: 1, maxLength: 7 }), (name, rest) => {
        const record = packed([name, ...rest])
        const expiry = new PackedExpiry()
        const found = expiry.find(record)
        const argument = expiryArgument(name, record.argv)
        const text = argument === null ? '' : String(record.argv[argument.at])
        if (found) expect([expiry.value, expiry.unit]).toEqual([Number(text), argument?.unit])
        else expect(argument === null || !/^\d{1,15}$/.test(text) || record.argv.length > 8).toBe(true)
      }),
      { seed: 5, numRuns: 2000 },
    )
  })
  it('is written over in place when it is as long', () => {
    const record = packed(['SET', 'k', 'v', 'PXAT', '1700000000000'])
    const expiry = new PackedExpiry()
    expect(expiry.find(record)).toBe(true)
    expect(expiry.write(record, 17)).toBe(false)
    expect(expiry.write(record, 9700000000000)).toBe(true)
    expect(record.argv.map(String)).toEqual(['SET', 'k', 'v', 'PXAT', '9700000000000'])
    expect(record.data.toString('latin1', record.end)).toBe('*1\r\n$4\r\nPING\r\n')
  })
})
