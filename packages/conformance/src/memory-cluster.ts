import type { Shard, ShardChange } from '@ferrite-migrate/contracts'
import { keySlot } from '@ferrite-migrate/protocol'
import { MemorySource, type MemorySourceOptions } from './memory-source.js'
import type { MemoryStore } from './memory-store.js'

/** One of several over the same memory: the keys that it owns are its own. */
class MemoryNode extends MemorySource {
  private readonly ownerOf: (key: Buffer) => string

  constructor(store: MemoryStore, options: MemorySourceOptions, ownerOf: (key: Buffer) => string) {
    super(store, options)
    this.ownerOf = ownerOf
  }

  protected override owns(_db: number, key: Buffer): boolean {
    return this.ownerOf(key) === this.id
  }
}

/**
 * A memory in several shards, each with the keys of its slots, as a cluster is: two at first, and others come and go. What
 * `changed` and `run` do happens in the first.
 */
export class MemoryCluster extends MemorySource {
  override readonly shards: readonly Shard[]
  private readonly options: MemorySourceOptions
  private readonly ids: string[]
  private readonly nodes = new Map<string, MemoryNode>()
  /** Since it was opened. */
  private readonly changes: ShardChange[] = []

  constructor(store: MemoryStore, options: MemorySourceOptions = {}) {
    super(store, options)
    this.options = options
    this.ids = [this.id]
    this.shards = [this.shard(), this.add('1')]
  }

  /** A shard comes: some slots are its own from now on. */
  join(id: string): void {
    this.tell({ kind: 'added', shard: this.add(id) })
  }

  /** A shard that came goes again: its slots are those of others. */
  leave(id: string): void {
    this.ids.splice(this.ids.indexOf(id), 1)
    this.nodes.get(id)?.end()
    this.nodes.delete(id)
    this.tell({ kind: 'removed', shard: id })
  }

  async *watch(signal: AbortSignal): AsyncGenerator<ShardChange> {
    for (let at = 0; !signal.aborted; ) {
      if (at < this.changes.length) yield this.changes[at++]
      else await this.sleep(signal)
    }
  }

  ownerOf(key: Buffer): string {
    return this.ids[keySlot(key) % this.ids.length]
  }

  protected override owns(_db: number, key: Buffer): boolean {
    return this.ownerOf(key) === this.id
  }

  private add(id: string): Shard {
    this.ids.push(id)
    const node = new MemoryNode(this.store, { ...this.options, id }, (key) => this.ownerOf(key))
    this.nodes.set(id, node)
    return node.shards[0]
  }

  private tell(change: ShardChange): void {
    this.changes.push(change)
    this.wake()
  }
}
