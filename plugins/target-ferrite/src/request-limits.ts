/** What a server takes when it does not say: the defaults of Redis. */
const DEFAULT_BULK = 512 << 20
const DEFAULT_QUERY = 1 << 30
/** Below this no server stops; whatever is refused then is refused for another reason. */
const LEAST = 16 << 10
/** Bytes of a command besides its one large argument. */
const AROUND = 1024
const PIECE = 1 << 20

/**
 * How large a request may be: asked for where the server says it (proto-max-bulk-len, client-query-buffer-limit), else
 * learned from the first request that it closes the connection for.
 */
export class RequestLimits {
  /** Connections lost in a row while changes were under way; they may be for their size. */
  changeLosses = 0
  private bulk: number
  private query: number

  constructor(bulk = DEFAULT_BULK, query = DEFAULT_QUERY) {
    this.bulk = bulk
    this.query = query
  }

  /** Bytes of a value that may go in one command; larger ones go in pieces. */
  get value(): number {
    return Math.min(this.bulk, this.query) - AROUND
  }

  /** Bytes of one command of those that build a large value. */
  get piece(): number {
    return Math.min(PIECE, this.value >> 1)
  }

  /** Bytes of one command inside a transaction, all of whose commands the server keeps until EXEC. */
  get change(): number {
    return Math.min(this.bulk - AROUND, this.query >> 2)
  }

  /** A request with a value of so many bytes was refused. False when no smaller one would help. */
  learn(bytes: number): boolean {
    const smaller = Math.min(bytes, this.value) >> 1
    if (smaller < LEAST) return false
    this.bulk = smaller + AROUND
    this.query = Math.min(this.query, 4 * this.bulk)
    return true
  }
}
