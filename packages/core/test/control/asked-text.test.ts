import { describe, expect, it } from 'vitest'
import { askedText } from '../../dist/control/asked-text.js'

describe('words', () => {
  it('of the audit trail hold no secret and no JSON', () => {
    expect(askedText('verify', {})).toBe('asked for a verification')
    expect(
      askedText('cutover', {
        dryRun: true,
        verify: true,
        holdMs: 3000,
        hook: 'curl http://secret',
        webhook: 'http://s',
      }),
    ).toBe('asked for a cutover (dry run; comparing everything; held for 3 s; with a hook; with a webhook)')
    expect(askedText('cutover', { unheard: 'of' })).toBe('asked for a cutover')
  })
})
