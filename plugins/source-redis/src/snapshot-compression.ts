import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '@ferrite-migrate/contracts'
import { ReplyError } from '@ferrite-migrate/protocol'
import { type Endpoint, RedisLink, type WireTrace } from '@ferrite-migrate/redis'

const SETTING = 'rdbcompression'
const TRIES = 5
const PAUSE_MS = 500

/**
 * Takes compression out of a snapshot that does not travel far: it is 40 % of the work of the source's snapshot process, and
 * every reader has to undo it. A server looks at the setting when it forks, in the moment it answers FULLRESYNC; so the
 * setting is off from just before PSYNC until that answer, and no longer.
 */
export class SnapshotCompression {
  private readonly endpoint: Endpoint
  private readonly trace: WireTrace | null
  private readonly logger: Logger
  private isOff = false
  private restoring: Promise<void> = Promise.resolve()

  constructor(endpoint: Endpoint, trace: WireTrace | null, logger: Logger) {
    this.endpoint = { ...endpoint, db: 0 }
    this.trace = trace
    this.logger = logger
  }

  /** Switches compression off; where the server does not allow that, it stays. Never throws. */
  async off(): Promise<void> {
    await this.restoring
    try {
      this.isOff = true
      await this.set('no')
    } catch (error) {
      // A lost answer may hide that the setting was changed; only a refusal is sure.
      if (error instanceof ReplyError) this.isOff = false
      this.logger.log('info', `the snapshot stays compressed: ${(error as Error).message.slice(0, 160)}`)
    }
  }

  /** Puts the setting back, where `off` changed it. Never throws; a source that cannot be told is warned of. */
  restore(): Promise<void> {
    if (this.isOff) {
      this.isOff = false
      this.restoring = this.putBack()
    }
    return this.restoring
  }

  private async putBack(): Promise<void> {
    for (let tries = 1; ; tries++)
      try {
        return await this.set('yes')
      } catch (error) {
        if (tries === TRIES) {
          this.logger.log(
            'warn',
            `${SETTING} could not be set back to "yes" at ${this.endpoint.label}: ${(error as Error).message.slice(0, 160)}`,
          )
          return
        }
        await sleep(PAUSE_MS)
      }
  }

  private async set(value: 'yes' | 'no'): Promise<void> {
    const link = await RedisLink.open(this.endpoint, this.trace)
    try {
      await link.call('CONFIG', 'SET', SETTING, value)
    } finally {
      link.close()
    }
  }
}
