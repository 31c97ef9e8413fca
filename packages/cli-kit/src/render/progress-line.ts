import { formatCount, formatDuration } from './format.js'

const DRAW_MS = 200
const PLAIN_MS = 10_000
/** The rate is that of so long. */
const WINDOW_MS = 5000
const CLEAR = '\r\x1b[2K'

/** How far a command is: one line that changes on a terminal, a plain line now and then elsewhere, nothing under --json. */
export class ProgressLine {
  private readonly out: NodeJS.WriteStream
  private readonly json: boolean
  private saidAt = Date.now()
  private marks: { at: number; done: number }[] = []
  private what = ''
  private drawn = false

  constructor(json: boolean, out: NodeJS.WriteStream = process.stderr) {
    this.json = json
    this.out = out
  }

  /** @param what is done with them, such as `keys compared`; `total` null = unknown */
  show(what: string, done: number, total: number | null): void {
    if (this.json) return
    const now = Date.now()
    if (what !== this.what) {
      this.what = what
      this.marks = []
    }
    const { marks } = this
    if (marks.length === 0 || now - marks[marks.length - 1].at >= DRAW_MS) marks.push({ at: now, done })
    while (marks.length > 2 && now - marks[0].at > WINDOW_MS) marks.shift()
    const terminal = this.out.isTTY === true
    if (now - this.saidAt < (terminal ? DRAW_MS : PLAIN_MS)) return
    this.saidAt = now
    const text = this.text(now, done, total)
    if (terminal) this.out.write(`${CLEAR}${text.slice(0, Math.max(20, this.out.columns - 1))}`)
    else this.out.write(`${text}\n`)
    this.drawn = terminal
  }

  /** Takes the line away. */
  end(): void {
    if (this.drawn) this.out.write(CLEAR)
    this.drawn = false
  }

  private text(now: number, done: number, total: number | null): string {
    if (total === null || total < done) return `${formatCount(done)} ${this.what}`
    const share = total === 0 ? 100 : Math.floor((done / total) * 100)
    const [first] = this.marks
    const rate = first === undefined || now === first.at ? 0 : (done - first.done) / (now - first.at)
    const left = rate > 0 && done < total ? `, ${formatDuration((total - done) / rate)} left` : ''
    return `${formatCount(done)} of ${formatCount(total)} ${this.what} (${share}%${left})`
  }
}
