import { JsonPieces } from './json-pieces.js'
import { JsonRow } from './json-row.js'
import { RowError, type RowPage } from './row.js'
import type { TextFeed } from './text-feed.js'

const PIECES = 1000

/** The objects of a file as rows, some at a time. */
export async function* jsonPages(feed: TextFeed, lines: boolean, signal: AbortSignal): AsyncGenerator<RowPage> {
  const pieces = new JsonPieces(lines)
  for (let chunk = await feed.next(); ; chunk = await feed.next()) {
    const found = chunk === null ? pieces.end() : pieces.push(chunk)
    const byteLength = chunk?.length ?? 0
    for (let from = 0; from < found.length || from === 0; from += PIECES) {
      if (signal.aborted) return
      const rows: JsonRow[] = []
      const faults: RowError[] = []
      for (const { line, text } of found.slice(from, from + PIECES))
        try {
          rows.push(new JsonRow(line, text))
        } catch (error) {
          if (!(error instanceof RowError)) throw error
          faults.push(error)
        }
      yield { rows, faults, byteLength: from === 0 ? byteLength : 0 }
    }
    if (chunk === null) return
  }
}
