import { expect, it } from 'vitest'
import { errorFromTold, MigrateError, toldError } from '../dist/index.js'

it('an error is the same on the other side of a process, and whatever else is thrown is a fault', () => {
  const error = new MigrateError('FM_CONNECT_LOST', 'gone', 'Wait.', { retryable: true })
  const again = errorFromTold(JSON.parse(JSON.stringify(toldError(error))))
  expect(again).toMatchObject({ code: 'FM_CONNECT_LOST', message: 'gone', hint: 'Wait.', retryable: true })
  expect(toldError(new TypeError('x'))).toMatchObject({ code: 'FM_INTERNAL', message: 'x', retryable: false })
  expect(toldError('text')).toMatchObject({ code: 'FM_INTERNAL', message: 'text' })
  expect(errorFromTold({ code: 'ENOENT', message: 'x', hint: '', retryable: false }).code).toBe('FM_INTERNAL')
})
