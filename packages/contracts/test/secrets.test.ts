import { keepSecret, printable, redactUrl, splitConnection, withoutSecrets } from '@ferrite-migrate/contracts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

/** Passwords as people make them: with everything that means something in an address. */
const secret = fc
  .stringMatching(/^[A-Za-z0-9@:/?#%&=+ .~!*'"<>$^_-]{6,30}$/)
  .filter((text) => text.trim().length >= 6 && !'redis://u@127.0.0.1:6379/0'.includes(text))

describe('a secret', () => {
  it('in a connection string is in nothing that is printed of it, encoded or not', () => {
    fc.assert(
      fc.property(secret, fc.boolean(), fc.constantFrom('', 'u', 'user'), (password, encoded, user) => {
        const written = encoded ? encodeURIComponent(password) : password
        const shown = redactUrl(`redis://${user}:${written}@127.0.0.1:6379/0?tls=1`)
        expect(shown).not.toContain(written)
        for (const part of written.split(/[@:/?#]/).filter((piece) => piece.length >= 6))
          expect(shown).not.toContain(part)
      }),
      { seed: 11, numRuns: 3000 },
    )
  })

  it('that is kept leaves no text that goes out, wherever it stands and in whatever form', () => {
    fc.assert(
      fc.property(secret, fc.string(), fc.string(), (password, before, after) => {
        keepSecret(password)
        for (const form of [password, encodeURIComponent(password)])
          expect(withoutSecrets(`${before}${form}${after}`)).not.toContain(form)
      }),
      // The list is bounded: no more secrets than a run can have.
      { seed: 12, numRuns: 200 },
    )
  })

  it('in front of a host is taken out of any text, and hashes of passwords too', () => {
    const text = withoutSecrets(
      `cannot reach redis://:p@ss/w0rd@h:1 nor memcached://u:x@h2; user a on #${'ab'.repeat(32)} ~* +@all`,
    )
    expect(text).not.toMatch(/p@ss|w0rd|u:x|abab/)
    expect(text).toContain('h2')
  })

  it('that makes an address ambiguous shows nothing of it', () => {
    expect(redactUrl('redis://:12/34@h/5')).toBe('redis://…')
    expect(splitConnection('redis://:a#b@h')).toBeNull()
    expect(redactUrl('no address at all')).toBe('…')
    expect(splitConnection('rdb:///a/b@c#d.rdb')).toMatchObject({ place: '/a/b@c#d.rdb' })
  })
})

describe('text of others', () => {
  it('is shown and not obeyed: nothing of it moves the cursor, turns the text or ends the line', () => {
    const hostile = '\x1b[2Jred\x07 \x9b31m \u202eevil\u2066 \ufeff\u200b a\r\nb\tc \u2028 \ud800'
    const shown = printable(hostile)
    expect(shown).not.toMatch(/(?![\t\n])\p{Cc}|[\u200b\u202a-\u202e\u2066-\u2069\ufeff\u2028]/u)
    expect(shown).toContain('\n')
    expect(shown).toContain('\t')
    expect(shown).toContain('\\x1b[2Jred')
  })

  it('that is plain stays as it is, in any language', () => {
    const text = 'ключ 鍵 مفتاح 🔑 👨‍👩‍👧 é\u0301 ✅ – “x”'
    expect(printable(text)).toBe(text)
  })

  it('never grows a control character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(printable(text)).not.toMatch(/(?![\t\n])\p{Cc}/u)
        expect(printable(printable(text))).toBe(printable(text))
      }),
      { seed: 13, numRuns: 2000 },
    )
  })
})
