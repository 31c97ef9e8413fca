import { setTimeout as sleep } from 'node:timers/promises'
import type { ChangeLedger, Loan, Logger } from '@ferrite-migrate/contracts'
import { ReplyError } from '@ferrite-migrate/protocol'
import { asItIsNow, type Endpoint, RedisLink, type WireTrace } from '@ferrite-migrate/redis'

/** A setting of the source that is another one while a snapshot begins. */
export interface SnapshotSetting {
  readonly name: string
  readonly former: string
  readonly meanwhile: string
  /** What is off meanwhile, and why, in words. */
  readonly fact: string
  readonly why: string
  /** What becomes of the snapshot when the server does not allow it, in words. */
  readonly without: string
}

const TRIES = 5
const PAUSE_MS = 500
/** Everything together may hold up an end for so long. */
const PUT_BACK_MS = 5000

/**
 * Makes the snapshot of a source cheap to have: no compression where it does not travel far (40 % of the work of the
 * source's snapshot process, which every reader has to undo), and no wait for other replicas (repl-diskless-sync-delay).
 * A server looks at these settings when it forks, in the moment it answers FULLRESYNC; so they are changed from just before
 * PSYNC until that answer, and no longer, and written down before that.
 */
export class SnapshotSettings {
  private readonly endpoint: Endpoint
  private readonly settings: readonly SnapshotSetting[]
  private readonly ledger: ChangeLedger | undefined
  private readonly server: string
  private readonly trace: WireTrace | null
  private readonly logger: Logger
  private changed: { readonly setting: SnapshotSetting; readonly loan: Loan | null }[] = []
  private restoring: Promise<void> = Promise.resolve()
  private at: Endpoint

  constructor(
    endpoint: Endpoint,
    settings: readonly SnapshotSetting[],
    ledger: ChangeLedger | undefined,
    server: string,
    trace: WireTrace | null,
    logger: Logger,
  ) {
    this.endpoint = { ...endpoint, db: 0 }
    this.at = this.endpoint
    this.settings = settings
    this.ledger = ledger
    this.server = server
    this.trace = trace
    this.logger = logger
  }

  /** Changes them; what the server does not allow stays. @throws MigrateError FM_STATE_DIR when it cannot be written down */
  async change(): Promise<void> {
    await this.restoring
    // What is changed at one server is put back at that one.
    this.at = await asItIsNow(this.endpoint)
    for (const setting of this.settings) {
      const loan = this.ledger?.lend(`config ${setting.name}`, setting.former, this.server) ?? null
      const entry = { setting, loan }
      this.changed.push(entry)
      try {
        await this.set(setting.name, setting.meanwhile)
      } catch (error) {
        // A lost answer may hide that the setting was changed; only a refusal is sure.
        if (error instanceof ReplyError) {
          this.changed = this.changed.filter((one) => one !== entry)
          loan?.settled()
        }
        this.logger.log('info', `${setting.without}: ${(error as Error).message.slice(0, 160)}`)
      }
    }
  }

  /** Puts back what `change` changed. Never throws; a source that cannot be told is warned of, and stays written down. */
  restore(): Promise<void> {
    if (this.changed.length > 0) {
      const { changed } = this
      this.changed = []
      this.restoring = this.restoring.then(() => this.putBack(changed))
    }
    return this.restoring
  }

  private async putBack(changed: SnapshotSettings['changed']): Promise<void> {
    const deadline = performance.now() + PUT_BACK_MS
    for (const { setting, loan } of changed)
      for (let tries = 1; ; tries++)
        try {
          await this.set(setting.name, setting.former)
          loan?.settled()
          break
        } catch (error) {
          if (tries >= TRIES || performance.now() > deadline) {
            this.logger.log(
              'warn',
              `${setting.name} could not be set back to "${setting.former}" at ${this.endpoint.label}: ${(error as Error).message.slice(0, 160)}`,
            )
            break
          }
          await sleep(PAUSE_MS)
        }
  }

  private async set(name: string, value: string): Promise<void> {
    const link = await RedisLink.open(this.at, this.trace, undefined, AbortSignal.timeout(PUT_BACK_MS))
    try {
      await link.call('CONFIG', 'SET', name, value)
    } finally {
      link.close()
    }
  }
}
