/** Every key that ferrite-migrate itself writes to a target starts with this. */
export const OWN_PREFIX = '__ferrite_migrate__:'

const PREFIX = Buffer.from(OWN_PREFIX)

export function checkpointKey(migration: string, shard: string): Buffer {
  return Buffer.from(`${OWN_PREFIX}${migration}:${shard}`)
}

/** A hash of those who may write single shards of a migration, by shard and epoch. */
export function fenceKey(migration: string): Buffer {
  return Buffer.from(`${OWN_PREFIX}fence:${migration}`)
}

/** A hash of the migrations that write to a server: id to `<epoch> <owner> <until, ms> [<copies>]`. */
export const RUNNING_KEY = `${OWN_PREFIX}running`

export interface RunningEntry {
  readonly epoch: number
  readonly owner: string
  /** Nobody has written for it after this, ms. */
  readonly until: number
  /** What it brings changes of; absent = none. */
  readonly copies?: string | undefined
}

export function runningEntry({ epoch, owner, until, copies }: RunningEntry): string {
  return `${epoch} ${owner} ${until}${copies === undefined ? '' : ` ${copies}`}`
}

/** Null when the text is none. */
export function parseRunning(text: string): RunningEntry | null {
  const match = /^(\d{1,15}) (\S{1,100}) (\d{1,15})(?: (\S{1,100}))?$/.exec(text)
  return match && { epoch: Number(match[1]), owner: match[2], until: Number(match[3]), copies: match[4] }
}

/** Names of values under construction and of probe keys start with this; `migration` keeps those of several runs apart. */
export function temporaryPrefix(migration = '-'): string {
  return `${OWN_PREFIX}tmp:${migration}:`
}

/** Name of the connections through which a migration writes. */
export function clientNameOf(migration: string): string {
  return `ferrite-migrate:${migration}`
}

const UNDERSCORE = 95

/** The same for a key that is a range of a larger block. */
export function isOwnRange(data: Buffer, start: number, end: number): boolean {
  return (
    data[start] === UNDERSCORE &&
    end - start >= PREFIX.length &&
    PREFIX.compare(data, start, start + PREFIX.length) === 0
  )
}

/** True when the first argument of the command whose name ends at `nameEnd` is a key of ferrite-migrate itself. */
export function writesOwnKey(data: Buffer, nameEnd: number): boolean {
  // $NN\r\n or $NNN\r\n, then the key: nearly every other command is told apart by one byte.
  const short = nameEnd + 7
  if (data[short] === UNDERSCORE) return isOwnRange(data, short, data.length)
  return data[short + 1] === UNDERSCORE && isOwnRange(data, short + 1, data.length)
}

/** True for keys of ferrite-migrate itself, which no report counts. */
export function isOwnKey(key: Buffer): boolean {
  return key.length >= PREFIX.length && PREFIX.compare(key, 0, PREFIX.length) === 0
}
