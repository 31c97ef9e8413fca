import { EventEmitter } from 'node:events'
import { Writable } from 'node:stream'
import { LiveDisplay } from '@ferrite-migrate/cli-kit'
import type { Migration, MigrationStatus } from '@ferrite-migrate/core'
import { afterEach, expect, it, vi } from 'vitest'

const status = {
  id: 'm',
  state: 'FAILED',
  phase: 'FAILED',
  mode: 'live',
  capture: 'psync',
  startedAt: 0,
  updatedAt: 1000,
  keysDone: 1,
  keysTotal: 1,
  error: { code: 'FM_X', message: 'it broke', hint: '' },
} as MigrationStatus

/** What a terminal is sent. */
class Terminal extends Writable {
  readonly isTTY = true
  readonly columns = 80
  sent = ''

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.sent += chunk.toString()
    done()
  }
}

afterEach(() => vi.unstubAllEnvs())

it('draws over itself from the start of a line, wherever the cursor was left, and leaves the error to the end', () => {
  vi.stubEnv('TERM', 'xterm')
  const migration = Object.assign(new EventEmitter(), { began: true })
  const terminal = new Terminal()
  const display = new LiveDisplay(terminal)
  display.attach(migration as Migration)
  migration.emit('progress', status)
  const drawn = terminal.sent.split('\n').length - 1
  expect(terminal.sent).toContain('Status: ')
  expect(terminal.sent).not.toContain('it broke')
  terminal.sent = ''
  display.line('a line that stays')
  expect(terminal.sent.startsWith(`\r\x1b[${drawn}A\x1b[0Ja line that stays\n`)).toBe(true)
  expect(terminal.sent.split('Status: ')).toHaveLength(2)
  terminal.sent = ''
  display.end()
  expect(terminal.sent).toBe(`\r\x1b[${drawn}A\x1b[0J`)
})
