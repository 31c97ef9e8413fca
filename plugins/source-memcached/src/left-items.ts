import type { SourceEvent } from '@ferrite-migrate/contracts'

const EXAMPLES = 5

/** Items of which no record came, or one that nobody here can read; some of them by name. */
export class LeftItems {
  private expired = 0
  private gone = 0
  private objects = 0
  private readonly goneNames: Buffer[] = []
  private readonly objectNames: Buffer[] = []

  addExpired(): void {
    this.expired++
  }

  /** @param key is copied where it is kept */
  addGone(key: Buffer): void {
    this.gone++
    if (this.goneNames.length < EXAMPLES) this.goneNames.push(Buffer.from(key))
  }

  /** @param key is copied where it is kept */
  addObject(key: Buffer): void {
    this.objects++
    if (this.objectNames.length < EXAMPLES) this.objectNames.push(Buffer.from(key))
  }

  *events(): Generator<SourceEvent> {
    const { expired, gone, objects, goneNames, objectNames } = this
    if (gone > 0)
      yield { kind: 'left-out', what: 'item that was gone before it was read', count: gone, examples: goneNames }
    if (expired > 0) yield { kind: 'left-out', what: 'item that had expired', count: expired, examples: [] }
    if (objects > 0)
      yield {
        kind: 'left-out',
        what: 'object of a client (carried as it is)',
        count: objects,
        examples: objectNames,
      }
  }
}
