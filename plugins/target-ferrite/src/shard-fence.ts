import { MigrateError, type RunClaim } from '@ferrite-migrate/contracts'
import { clientNameOf, fenceKey, RUNNING_KEY, runningEntry, temporaryPrefix } from '@ferrite-migrate/redis'
import type { Ask } from './run-note.js'

/** A claim for all shards of a migration. */
const ALL = '*'
/** A worker that has not given a sign of life for so long writes no more, ms. */
const RUNNING_MS = 60_000

/** A claim for one shard, or for all. */
export type ShardClaim = RunClaim & { readonly shard: string }

/** One that was found at the target. */
interface Found {
  readonly shard: string
  readonly epoch: number
  readonly field: string
}

/**
 * Keeps those out who wrote a shard before: a hash at the target with a field for each claim, `<shard> <epoch>`. A claim is only ever
 * added, and whoever finds a higher one for its own shard, or for all, writes no more: so two that claim at once cannot both believe that
 * they are the last. Lower ones are removed by higher ones.
 */
export class ShardFence {
  private readonly migration: string
  private readonly claim: ShardClaim
  private readonly ask: Ask
  private readonly key: Buffer

  constructor(migration: string, claim: ShardClaim, ask: Ask) {
    this.migration = migration
    this.claim = claim
    this.ask = ask
    this.key = fenceKey(migration)
  }

  /** Puts the fence up, or up again. @throws MigrateError FM_RUN_TAKEN */
  async put(): Promise<void> {
    const { shard, epoch, owner } = this.claim
    await this.ask('HSET', this.key, `${shard} ${epoch}`, owner)
    const found = await this.found(this.ask)
    this.mustBeLast(found)
    const lower = found.filter((one) => one.epoch < epoch && this.concerns(one))
    if (lower.length > 0) await this.ask('HDEL', this.key, ...lower.map(({ field }) => field))
  }

  /** Asked on each new connection, once it has its name. @throws MigrateError FM_RUN_TAKEN */
  async admit(ask: Ask): Promise<void> {
    const found = await this.found(ask)
    this.mustBeLast(found)
    // A target that was emptied, or has failed over, may have lost it.
    if (!found.some(({ shard, epoch }) => shard === this.claim.shard && epoch === this.claim.epoch)) await this.put()
  }

  /** @throws MigrateError FM_RUN_TAKEN */
  async beat(): Promise<void> {
    await this.admit(this.ask)
    const { migration, claim } = this
    const { epoch, owner, copies } = claim
    const entry = runningEntry({ epoch, owner, until: Date.now() + RUNNING_MS, copies })
    await this.ask('HSET', RUNNING_KEY, `${migration}/${claim.shard}`, entry)
  }

  /** It writes no more. The fence stays, so that those before it do not come back. */
  async release(): Promise<void> {
    await this.ask('HDEL', RUNNING_KEY, `${this.migration}/${this.claim.shard}`)
  }

  /** True for the name of a connection, or the beginning of a temporary key, of somebody whom this claim ends. */
  endsConnection(name: string): boolean {
    return this.ends(name, `${clientNameOf(this.migration)}:`)
  }

  endsTemporary(key: string): boolean {
    return this.ends(key, temporaryPrefix(this.migration))
  }

  private ends(text: string, prefix: string): boolean {
    if (!text.startsWith(prefix)) return false
    const match = /^([^:]*):(\d{1,15})(?::|$)/.exec(text.slice(prefix.length))
    if (match === null) return false
    const one = { shard: match[1], epoch: Number(match[2]), field: '' }
    return one.epoch < this.claim.epoch && this.concerns(one)
  }

  private concerns({ shard }: Found): boolean {
    return shard === this.claim.shard || shard === ALL || this.claim.shard === ALL
  }

  private mustBeLast(found: readonly Found[]): void {
    const { migration, claim } = this
    if (!found.some((one) => one.epoch > claim.epoch && this.concerns(one))) return
    throw new MigrateError(
      'FM_RUN_TAKEN',
      `another worker has taken the shard ${claim.shard} of the migration ${migration} over`,
      'Nothing more is written here; status shows who goes on.',
    )
  }

  private async found(ask: Ask): Promise<Found[]> {
    const fields = await ask('HKEYS', this.key)
    const list = Array.isArray(fields) ? fields.map(String) : []
    return list.flatMap((field) => {
      const match = /^(\S{1,100}) (\d{1,15})$/.exec(field)
      return match === null ? [] : [{ shard: match[1], epoch: Number(match[2]), field }]
    })
  }
}

/** A claim as a fence takes it; null = it is for the whole migration. */
export function shardClaim(claim: RunClaim): ShardClaim | null {
  return claim.shard === undefined ? null : { ...claim, shard: claim.shard }
}
