import { absoluteExpiry, expiryArgument } from '@ferrite-migrate/protocol'
import { describe, expect, it } from 'vitest'

const bytes = (text: string): Buffer[] => text.split(' ').map((word) => Buffer.from(word))
const made = (text: string): string[] | null => {
  const argv = bytes(text)
  return absoluteExpiry(String(argv[0]).toUpperCase(), argv, 1_000_000)?.map((words) => words.join(' ')) ?? null
}
const found = (text: string): { at: number; unit: number } | null => {
  const argv = bytes(text)
  return expiryArgument(String(argv[0]).toUpperCase(), argv)
}

describe('expiries of commands', () => {
  it.each([
    ['EXPIRE k 10', ['PEXPIREAT k 1010000']],
    ['PEXPIRE k 10 NX', ['PEXPIREAT k 1000010 NX']],
    ['SETEX k 10 v', ['SET k v', 'PEXPIREAT k 1010000']],
    ['PSETEX k 10 v', ['SET k v', 'PEXPIREAT k 1000010']],
    ['SET k v PX 500', ['SET k v', 'PEXPIREAT k 1000500']],
    ['set k v px 500', ['set k v', 'PEXPIREAT k 1000500']],
    ['SET k v EX 5 NX', ['SET k v NX', 'PEXPIREAT k 1005000']],
    ['SET k v PXAT 500', null],
    ['SET k v', null],
    ['SET k PX', null],
    ['GETEX k PX 500', ['PEXPIREAT k 1000500']],
    ['GETEX k EX 5', ['PEXPIREAT k 1005000']],
    ['GETEX k', null],
    ['RESTORE k 5 x', ['RESTORE k 1000005 x ABSTTL']],
    ['RESTORE k 0 x', null],
    ['RESTORE k 5 x ABSTTL', null],
  ])('%s counts from when it was received', (text, expected) => {
    expect(made(text)).toEqual(expected)
  })

  it('stays as it is where nobody knows when it ran', () => {
    expect(absoluteExpiry('EXPIRE', bytes('EXPIRE k 10'), 0)).toBeNull()
  })

  it.each([
    ['SET k v PXAT 500', { at: 4, unit: 1 }],
    ['SET k v EXAT 5', { at: 4, unit: 1000 }],
    ['SET k v NX pxat 500', { at: 5, unit: 1 }],
    ['SET k v PX 500', null],
    ['SET PXAT EXAT', null],
    ['SET k v PXAT', null],
    ['GETEX k PXAT 500', { at: 3, unit: 1 }],
    ['GETEX k EXAT 5', { at: 3, unit: 1000 }],
    ['GETEX k PERSIST', null],
    ['PEXPIREAT k 500', { at: 2, unit: 1 }],
    ['EXPIREAT k 5', { at: 2, unit: 1000 }],
    ['RESTORE k 500 x ABSTTL', { at: 2, unit: 1 }],
    ['RESTORE k 500 x', null],
    ['INCR k', null],
  ])('%s has it at its place', (text, expected) => {
    expect(found(text)).toEqual(expected)
  })
})
