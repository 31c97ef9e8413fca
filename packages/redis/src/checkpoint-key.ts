/** Every key that ferrite-migrate itself writes to a target starts with this. */
export const OWN_PREFIX = '__ferrite_migrate__:'

const PREFIX = Buffer.from(OWN_PREFIX)

export function checkpointKey(migration: string, shard: string): Buffer {
  return Buffer.from(`${OWN_PREFIX}${migration}:${shard}`)
}

/** Names of values under construction and of probe keys start with this; `migration` keeps those of several runs apart. */
export function temporaryPrefix(migration = '-'): string {
  return `${OWN_PREFIX}tmp:${migration}:`
}

/** Name of the connections through which a migration writes. */
export function clientNameOf(migration: string): string {
  return `ferrite-migrate:${migration}`
}

/** True for keys of ferrite-migrate itself, which no report counts. */
export function isOwnKey(key: Buffer): boolean {
  return key.length >= PREFIX.length && PREFIX.compare(key, 0, PREFIX.length) === 0
}
