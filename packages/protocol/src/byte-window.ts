/** Where bytes come from, in order. */
export interface ByteFeed {
  /** The next bytes, null at the end. The chunk is only read until the next call. */
  next(): Promise<Buffer | null>
}

/** Memory that records point into. It goes back to the pool when the last of its users is done. */
export class Block {
  readonly data: Buffer
  private users = 1
  private readonly pool: Block[]

  constructor(data: Buffer, pool: Block[]) {
    this.data = data
    this.pool = pool
  }

  retain(): void {
    this.users++
  }

  release(): void {
    if (--this.users > 0 || this.data.length !== BLOCK_SIZE || this.pool.length >= POOLED_BLOCKS) return
    this.users = 1
    this.pool.push(this)
  }
}

const BLOCK_SIZE = 1 << 20
const POOLED_BLOCKS = 8

/**
 * A contiguous view of a byte stream. `data[pos..end)` has been read and not yet consumed. Growing may move the
 * unconsumed bytes to another block; what records point into stays where it is.
 */
export class ByteWindow {
  data: Buffer
  pos = 0
  end = 0
  private block: Block
  private base = 0
  private spare: Buffer | null = null
  private readonly pool: Block[] = []
  private readonly feed: ByteFeed

  constructor(feed: ByteFeed) {
    this.feed = feed
    this.block = new Block(Buffer.allocUnsafeSlow(BLOCK_SIZE), this.pool)
    this.data = this.block.data
  }

  /** Bytes of the stream before `at` (a position in `data`). */
  offset(at = this.pos): number {
    return this.base + at
  }

  /** Keeps the memory that `data` points to until the returned block is released. */
  retain(): Block {
    this.block.retain()
    return this.block
  }

  /** True when the next `more` will move on to another block. */
  get full(): boolean {
    return this.end === this.data.length
  }

  /**
   * Reads more, keeping what is not consumed. False at the end of the stream. Memory that holds less than `enough`
   * unconsumed bytes grows to little more than that, instead of to twice what it holds.
   */
  async more(enough = Number.MAX_SAFE_INTEGER): Promise<boolean> {
    const chunk = this.spare ?? (await this.feed.next())
    this.spare = null
    if (chunk === null) return false
    if (this.full) this.relocate(enough)
    const room = this.data.length - this.end
    const count = Math.min(room, chunk.length)
    chunk.copy(this.data, this.end, 0, count)
    this.end += count
    if (count < chunk.length) this.spare = chunk.subarray(count)
    return true
  }

  /** Reads until at least `count` bytes are unconsumed. False when the stream ends before. */
  async need(count: number): Promise<boolean> {
    while (this.end - this.pos < count) if (!(await this.more())) return false
    return true
  }

  private relocate(enough: number): void {
    const kept = this.end - this.pos
    const wanted = kept > BLOCK_SIZE / 2 ? Math.max(BLOCK_SIZE, kept * 2) : BLOCK_SIZE
    const size = kept < enough ? Math.min(wanted, enough + BLOCK_SIZE) : wanted
    const next = (size === BLOCK_SIZE && this.pool.pop()) || new Block(Buffer.allocUnsafeSlow(size), this.pool)
    this.data.copy(next.data, 0, this.pos, this.end)
    this.base += this.pos
    this.block.release()
    this.block = next
    this.data = next.data
    this.pos = 0
    this.end = kept
  }
}
