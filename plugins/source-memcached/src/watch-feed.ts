import { unescaped } from './key-dump.js'
import type { MemcachedLink } from './memcached-link.js'

/** Kinds of events, the best that a server may know first. `deletions` came later than the others. */
const KINDS = ['mutations deletions evictions', 'mutations evictions', 'mutations'] as const

/** More than this is not remembered one by one: everything is compared then. */
const MOST_KEYS = 500_000

/** Keys that a server says were changed, by its `watch` command: what it tells is not all that happens. */
export class WatchFeed {
  /** What is watched, for people; null = the server has no such command. */
  readonly kinds: string
  /** Events were lost: only a comparison of everything tells what they were. */
  missed = false
  private readonly link: MemcachedLink
  private readonly keys = new Map<string, Buffer>()

  private constructor(link: MemcachedLink, kinds: string) {
    this.link = link
    this.kinds = kinds
    link.follow()
    void this.run()
  }

  /** Null when the server cannot be watched. */
  static async start(open: () => Promise<MemcachedLink>): Promise<WatchFeed | null> {
    for (const kinds of KINDS) {
      const link = await open()
      if ((await link.call(`watch ${kinds}`)) === 'OK') return new WatchFeed(link, kinds)
      link.close()
    }
    return null
  }

  get pending(): number {
    return this.keys.size
  }

  take(most: number): Buffer[] {
    const taken: Buffer[] = []
    for (const [name, key] of this.keys) {
      if (taken.length >= most) break
      taken.push(key)
      this.keys.delete(name)
    }
    return taken
  }

  takeMissed(): boolean {
    const { missed } = this
    this.missed = false
    return missed
  }

  close(): void {
    this.link.close()
  }

  private async run(): Promise<void> {
    try {
      for (;;) {
        const line = await this.link.line()
        const found = / key=(\S+)/.exec(line)
        if (found !== null) {
          this.keys.set(found[1], unescaped(found[1]))
          if (this.keys.size <= MOST_KEYS) continue
          this.keys.clear()
          this.missed = true
        } else if (/skipped=/.test(line)) this.missed = true
      }
    } catch {
      this.missed = true
    }
  }
}
