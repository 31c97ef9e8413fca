import { type DirtyKey, type KeyFilter, MigrateError } from '@ferrite-migrate/contracts'
import { ReplyError } from '@ferrite-migrate/protocol'
import { isOwnKey } from './checkpoint-key.js'
import { movedError } from './connect-error.js'
import { databaseSizes } from './info.js'
import type { RedisLink } from './link.js'
import type { ReaderLinks } from './reader-links.js'

const SCAN_COUNT = 1000
/** Of the keys that were there all the time a SCAN gives all; writers and expiries explain a small difference. */
const SCAN_SHARE = 0.9
/** What ends within a transaction is still counted there: it is asked for once or twice more. */
const SOUND_ATTEMPTS = 3

/** Where a SCAN stands: a database, and its cursor in it. */
export interface ScanPlace {
  readonly db: number
  readonly cursor: string
}

/** Keys in the order of a SCAN, with the place where the next ones start. */
export interface ScannedKeys {
  readonly keys: readonly DirtyKey[]
  readonly next: ScanPlace
}

interface Page {
  readonly keys: Buffer[]
  readonly cursor: string
  /** Where the cursor is from. */
  readonly link: RedisLink
}

/** Goes through the keys of a server by SCAN. */
export class KeyScan {
  private readonly links: ReaderLinks
  private readonly ferrite: boolean

  constructor(links: ReaderLinks, ferrite: boolean) {
    this.links = links
    this.ferrite = ferrite
  }

  async size(): Promise<ReadonlyMap<number, number>> {
    return databaseSizes(await this.links.get('scan'))
  }

  /** All keys; from a place on, those of before are left out. */
  async *keys(filter: KeyFilter, from: ScanPlace | undefined): AsyncGenerator<ScannedKeys> {
    const sizes = await this.size()
    for (const [db, size] of [...sizes].sort(([x], [y]) => x - y)) {
      if ((filter.dbs && !filter.dbs.includes(db)) || db < (from?.db ?? 0)) continue
      const start = from?.db === db ? from.cursor : '0'
      if (from?.db === db && start === 'end') continue
      let seen = 0
      for await (const page of this.ferrite ? this.onePage(db, size) : this.pages(db, filter.match, start)) {
        seen += page.keys.length
        const keys = page.keys.filter((key) => !isOwnKey(key))
        if (keys.length > 0)
          yield {
            keys: keys.map((key) => ({ db, key })),
            next: { db, cursor: page.cursor === '0' ? 'end' : page.cursor },
          }
      }
      if (filter.match === undefined && start === '0') await this.checkComplete(db, size, seen)
    }
  }

  /** A SCAN that skips keys must not pass for a whole one. */
  private async checkComplete(db: number, before: number, seen: number): Promise<void> {
    const after = (await this.size()).get(db) ?? 0
    const expected = Math.min(before, after)
    if (seen >= expected * SCAN_SHARE || (expected <= SCAN_COUNT && (await this.isSound(db)))) return
    throw new MigrateError(
      'FM_SCAN_INCOMPLETE',
      `SCAN of ${this.links.endpoint.label} gave ${seen} of ${expected} keys of database ${db}`,
      'The server skips keys while scanning: read it by --capture psync, or report it with the version.',
    )
  }

  /** Of a few keys that come and go, many may be missing: whether SCAN gives what DBSIZE counts in the same moment. */
  private async isSound(db: number): Promise<boolean> {
    const link = await this.links.get('scan')
    for (let attempt = 0; attempt < SOUND_ATTEMPTS; attempt++) {
      const replies = await link.pipeline((out) => {
        out.call('MULTI')
        // It also takes away what has ended, and is still counted.
        for (let again = 0; again < 2; again++) {
          out.call('DBSIZE')
          out.call('SCAN', '0', 'COUNT', SCAN_COUNT * 10)
        }
        out.call('EXEC')
        return 6
      }, db)
      const made = replies.at(-1)
      if (!Array.isArray(made)) return false
      const [, , size, scanned] = made
      const [cursor, keys] = Array.isArray(scanned) ? scanned : []
      if (Array.isArray(keys) && String(cursor) === '0' && keys.length >= Number(size) * SCAN_SHARE) return true
    }
    return false
  }

  private async *pages(db: number, match: Buffer | undefined, start: string): AsyncGenerator<Page> {
    // The next page is asked for while this one is worked on.
    let page = this.page(db, match, start, SCAN_COUNT)
    for (;;) {
      const { keys, cursor, link } = await page
      const last = cursor === '0'
      if (!last) {
        page = this.page(db, match, cursor, SCAN_COUNT, link)
        // Whoever stops reading leaves this one unanswered.
        page.catch(() => undefined)
      }
      yield { keys, cursor, link }
      if (last) return
    }
  }

  private async page(
    db: number,
    match: Buffer | undefined,
    cursor: string,
    count: number,
    former?: RedisLink,
  ): Promise<Page> {
    const link = await this.links.get('scan')
    // A cursor says nothing to another server: keys would be skipped.
    if (former !== undefined && link !== former && link.endpoint.moving !== undefined)
      throw movedError(former.endpoint.label, ', and its keys were not scanned to the end')
    const [reply] = await link.pipeline((out) => {
      if (match === undefined) out.call('SCAN', cursor, 'COUNT', count)
      else out.call('SCAN', cursor, 'MATCH', match, 'COUNT', count)
      return 1
    }, db)
    if (reply instanceof ReplyError) throw this.links.refused('SCAN', reply)
    const [next, keys] = reply as [Buffer, Buffer[]]
    return { keys, cursor: String(next), link }
  }

  /** Ferrite: only a page that holds every key is complete. Grows until it is, in pieces of 1000 keys. */
  private async *onePage(db: number, size: number): AsyncGenerator<Page> {
    let count = size + 1000
    for (let attempt = 0; attempt < 8; attempt++) {
      const { keys, cursor, link } = await this.page(db, undefined, '0', count)
      if (cursor === '0') {
        for (let from = 0; from < keys.length; from += SCAN_COUNT)
          yield { keys: keys.slice(from, from + SCAN_COUNT), cursor, link }
        return
      }
      count *= 2
    }
    throw new MigrateError(
      'FM_SCAN_INCOMPLETE',
      `${this.links.endpoint.label} never gave all its keys in one page`,
      'Try again when fewer keys are being added.',
      { retryable: true },
    )
  }
}
