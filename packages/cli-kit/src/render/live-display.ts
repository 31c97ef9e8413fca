import { printable, withoutSecrets } from '@ferrite-migrate/contracts'
import type { Migration, MigrationStatus } from '@ferrite-migrate/core'
import { coloured } from './colour.js'
import { columnsOf, fit, type Screen } from './layout.js'
import { type NamedAgain, nextStep } from './next-steps.js'
import { statusLine, statusLines } from './status-view.js'

const PLAIN_EVERY_MS = 5000

/** Shows a running migration: redrawn in place on a terminal, a line every few seconds elsewhere. */
export class LiveDisplay {
  private readonly out: Screen
  private readonly terminal: boolean
  private drawn = 0
  private last: MigrationStatus | null = null
  private lastLineAt = 0
  private lastPhase = ''
  private readonly given: NamedAgain
  /** The plain line about what can be done was written. */
  private told = false

  /** @param given for the commands that are named */
  constructor(out: Screen = process.stderr, given: NamedAgain = {}) {
    this.out = out
    this.given = given
    this.terminal = out.isTTY === true && process.env.TERM !== 'dumb'
  }

  attach(migration: Migration): void {
    migration.on('progress', (status) => this.show(status))
    migration.on('phase', () => migration.began && this.show(migration.status()))
    migration.on('note', ({ text }) => this.line(text))
    migration.on('step', ({ name, text }) => this.line(`  ${name.padEnd(8)} ${text}`))
  }

  /** A line that stays, above what is redrawn. */
  line(text: string): void {
    this.erase()
    const lines = fit(printable(withoutSecrets(text)).split('\n'), columnsOf(this.out))
    this.out.write(`${coloured(lines, this.out).join('\n')}\n`)
    if (this.last !== null) this.draw(this.last)
  }

  private show(status: MigrationStatus): void {
    if (this.terminal) {
      this.erase()
      this.draw(status)
      return
    }
    const now = Date.now()
    if (status.phase === this.lastPhase && now - this.lastLineAt < PLAIN_EVERY_MS) return
    this.lastPhase = status.phase
    this.lastLineAt = now
    this.out.write(`${printable(statusLine(status))}\n`)
    if (this.told || status.phase !== 'LIVE_SYNC') return
    this.told = true
    for (const text of nextStep(status, this.given)) this.out.write(`${text}\n`)
  }

  private draw(status: MigrationStatus): void {
    this.last = status
    const columns = columnsOf(this.out)
    // What ended it is told once, behind the display.
    const lines = [...statusLines({ ...status, error: null }), '', ...nextStep(status, this.given)].map(printable)
    // More than the screen has could not be taken back again.
    const shown = fit(lines, columns).slice(-Math.max(1, (this.out.rows ?? 50) - 1))
    this.out.write(`${coloured(shown, this.out).join('\n')}\n`)
    this.drawn = shown.length
  }

  /** Removes what was drawn for good, so that a report can follow. */
  end(): void {
    this.erase()
    this.last = null
  }

  private erase(): void {
    // A ^C that the terminal echoed leaves the cursor in the middle of a line.
    if (this.drawn > 0) this.out.write(`\r\x1b[${this.drawn}A\x1b[0J`)
    this.drawn = 0
  }
}
