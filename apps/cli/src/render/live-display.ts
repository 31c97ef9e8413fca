import { printable, withoutSecrets } from '@ferrite-migrate/contracts'
import type { Migration, MigrationStatus } from '@ferrite-migrate/core'
import { statusLine, statusLines } from './status-view.js'

const PLAIN_EVERY_MS = 5000

/** Shows a running migration: redrawn in place on a terminal, a line every few seconds elsewhere. */
export class LiveDisplay {
  private readonly out: NodeJS.WriteStream
  private readonly terminal: boolean
  private drawn = 0
  private lastLineAt = 0
  private lastPhase = ''

  constructor(out: NodeJS.WriteStream = process.stderr) {
    this.out = out
    this.terminal = out.isTTY === true && process.env.TERM !== 'dumb'
  }

  attach(migration: Migration): void {
    migration.on('progress', (status) => this.show(status))
    migration.on('phase', () => this.show(migration.status()))
    migration.on('note', ({ text }) => this.line(text))
  }

  /** A line that stays, above what is redrawn. */
  line(text: string): void {
    this.erase()
    this.out.write(`${printable(withoutSecrets(text))}\n`)
  }

  private show(status: MigrationStatus): void {
    if (this.terminal) {
      this.erase()
      const width = this.out.columns ?? 80
      // What ended it is told once, behind the display.
      const lines = statusLines({ ...status, error: null }).map((text) =>
        [...printable(text)].slice(0, width - 1).join(''),
      )
      this.out.write(`${lines.join('\n')}\n`)
      this.drawn = lines.length
      return
    }
    const now = Date.now()
    if (status.phase === this.lastPhase && now - this.lastLineAt < PLAIN_EVERY_MS) return
    this.lastPhase = status.phase
    this.lastLineAt = now
    this.out.write(`${printable(statusLine(status))}\n`)
  }

  /** Removes what was drawn, so that a report can follow. */
  erase(): void {
    // A ^C that the terminal echoed leaves the cursor in the middle of a line.
    if (this.drawn > 0) this.out.write(`\r\x1b[${this.drawn}A\x1b[0J`)
    this.drawn = 0
  }
}
