import { type ChangeLedger, type Loan, type Logger, MigrateError } from '@ferrite-migrate/contracts'
import { ReplyError } from '@ferrite-migrate/protocol'
import { type Endpoint, endpointAt, RedisLink, readInfo } from '@ferrite-migrate/redis'

export interface NotificationSettingOptions {
  readonly endpoint: Endpoint
  readonly logger: Logger
  /** Switch notify-keyspace-events on where it is off, and back at the end. */
  readonly configure: boolean
  /** Where the change is written down before it is made. */
  readonly ledger: ChangeLedger | undefined
  /** Who the server is, whatever its address. */
  readonly server: string
}

/** What was changed at one server. */
interface Lent {
  readonly at: Endpoint
  readonly server: string
  readonly former: string
  readonly loan: Loan | null
}

/** What must be on: keyspace channel, all event classes. */
const WANTED = 'KA'
const SETTING = 'notify-keyspace-events'
const LOAN = `config ${SETTING}`

function tellsAll(setting: string): boolean {
  return setting.includes('K') && (setting.includes('A') || [...'g$lshzxet'].every((flag) => setting.includes(flag)))
}

/** The setting by which a server sends events. Each server on which it is changed gets back what it had. */
export class NotificationSetting {
  /** True once a server has said that it sends events. */
  proven = false
  private readonly options: NotificationSettingOptions
  /** By their addresses: after a failover it is another server. */
  private readonly lent = new Map<string, Lent>()

  constructor(options: NotificationSettingOptions) {
    this.options = options
  }

  /** Sees to it that the server of this connection sends events. @throws MigrateError FM_NOTIFICATIONS_OFF, FM_STATE_DIR */
  async ensure(link: RedisLink): Promise<void> {
    const { logger, configure, ledger } = this.options
    const denied = (why: string): MigrateError =>
      new MigrateError(
        'FM_NOTIFICATIONS_OFF',
        `keyspace notifications are off at the source and cannot be switched on: ${why}`,
        `Set notify-keyspace-events to ${WANTED} there (managed services: in the parameter group), then start again.`,
      )
    let current: string
    try {
      const reply = (await link.call('CONFIG', 'GET', SETTING)) as Buffer[]
      if (reply.length < 2) throw denied('CONFIG GET answers nothing')
      current = String(reply[1])
    } catch (error) {
      if (error instanceof MigrateError) throw error
      logger.log(
        'warn',
        `notify-keyspace-events cannot be read (${(error as Error).message}), so nobody knows whether changes are told: until the first event everything is compared again at every sweep-interval`,
      )
      return
    }
    const server = await this.serverOf(link)
    const [before] = ledger?.others(LOAN, server) ?? []
    if (tellsAll(current)) {
      this.proven = true
      // Somebody else switched it on for the moment: whoever ends last puts back what was there before.
      if (before !== undefined) this.borrow(link, server, before.former)
      return
    }
    if (!configure) throw denied('configure-notifications is off')
    this.borrow(link, server, before?.former ?? current)
    try {
      await link.call('CONFIG', 'SET', SETTING, WANTED)
      this.proven = true
    } catch (error) {
      if (error instanceof ReplyError) {
        this.lent.get(link.endpoint.label)?.loan?.settled()
        this.lent.delete(link.endpoint.label)
      }
      throw denied((error as Error).message)
    }
  }

  /** True when somebody has switched it off meanwhile: it is on again then. @throws MigrateError */
  async wasSwitchedOff(): Promise<boolean> {
    if (!this.proven) return false
    const link = await RedisLink.open(this.options.endpoint)
    try {
      const reply = (await link.call('CONFIG', 'GET', SETTING)) as Buffer[]
      if (reply.length < 2 || tellsAll(String(reply[1]))) return false
      this.options.logger.log(
        'warn',
        `${SETTING} was switched off at the source: it is switched on again, and everything compared`,
      )
      await this.ensure(link)
      return true
    } finally {
      link.close()
    }
  }

  /** Gives every server back what it had; one that is out of reach is named in the log. */
  async putBack(): Promise<void> {
    const { ledger, logger } = this.options
    for (const { at, server, former, loan } of this.lent.values())
      try {
        // Another migration needs it still, and puts back what was there before both.
        if ((ledger?.others(LOAN, server) ?? []).length === 0) {
          const link = await RedisLink.open(at)
          await link.call('CONFIG', 'SET', SETTING, former).finally(() => link.close())
        }
        loan?.settled()
      } catch (error) {
        logger.log(
          'warn',
          `notify-keyspace-events could not be set back to "${former}" at ${at.label}: ${(error as Error).message}`,
        )
      }
    this.lent.clear()
  }

  private async serverOf(link: RedisLink): Promise<string> {
    const { endpoint, server } = this.options
    if (endpoint.moving === undefined) return server
    const info = await readInfo(link, 'server').catch(() => new Map<string, string>())
    return info.get('run_id') ?? server
  }

  /** Written down before it is changed. @throws MigrateError FM_STATE_DIR */
  private borrow(link: RedisLink, server: string, former: string): void {
    const name = link.endpoint.label
    if (this.lent.has(name)) return
    const loan = this.options.ledger?.lend(LOAN, former, server) ?? null
    this.lent.set(name, { at: endpointAt(link.endpoint, link.address), server, former, loan })
  }
}
