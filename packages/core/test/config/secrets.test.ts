import { describe, expect, it } from 'vitest'
import { passwordVariable, withoutPassword, withoutSecrets } from '../../dist/config/secrets.js'
import { hasSecret } from '../../dist/index.js'

describe('a connection string without its password', () => {
  it.each([
    ['redis://user:hidden@h:1/2', 'redis://user@h:1/2'],
    ['redis://:hidden@h', 'redis://h'],
    ['redis://h?password=hidden&db=1', 'redis://h?password=&db=1'],
    ['redis://h?tls-key-file=/key&auth%2Dtoken=hidden', 'redis://h?tls-key-file=/key&auth%2Dtoken='],
    ['redis://h?password-env=NAME', 'redis://h?password-env=NAME'],
    ['rdb:///dump@2.rdb', 'rdb:///dump@2.rdb'],
    // It cannot be taken apart without a guess.
    ['redis://user:hid/den@h', 'redis://…'],
    ['no address with hidden', '…'],
  ])('%s is %s', (url, kept) => {
    expect(withoutPassword(url)).toBe(kept)
  })

  it('is known to have had one', () => {
    expect([
      hasSecret('redis://h', {}),
      hasSecret('redis://u:p@h', {}),
      hasSecret('redis://h', { password: 'x' }),
      hasSecret('redis://h', { 'password-file': '/x' }),
    ]).toEqual([false, true, true, false])
  })
})

describe('options', () => {
  it('are kept without secrets, and with the places of secrets', () => {
    expect(withoutSecrets({ password: 'x', 'api-token': 'y', 'password-env': 'NAME', tls: true })).toEqual({
      'password-env': 'NAME',
      tls: true,
    })
    expect(passwordVariable('source')).toBe('FERRITE_MIGRATE_SOURCE_PASSWORD')
  })
})
