import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '@ferrite-migrate/contracts'
import type { NotificationsConfig } from '../config/config.js'
import { optionalPackage } from '../config/optional-package.js'
import type { MigrationStatus } from '../state/status.js'
import { postJson } from './post-json.js'

export type NotifiedEvent =
  | 'started'
  | 'live'
  | 'lag-alarm'
  | 'cutover'
  | 'completed'
  | 'failed'
  | 'interrupted'
  | 'rolled-back'

const TIMEOUT_MS = 10_000
/** A server that trickles keeps nobody from ending. */
const GIVEN_UP_MS = 15_000

/** Text for Slack: it is no markup, calls nobody and is no link. */
export function slackText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** Tells people and programs what happens. Whatever goes wrong is logged and never stops a migration. */
export class Notifier {
  private readonly config: NotificationsConfig
  private readonly logger: Logger
  private readonly lost = new Map<string, number>()
  private readonly told = new Set<string>()
  private readonly underWay = new Set<Promise<void>>()

  constructor(config: NotificationsConfig, logger: Logger) {
    this.config = config
    this.logger = logger
    for (const why of config.off) logger.log('warn', `notifications are off by ${why}`)
  }

  send(event: NotifiedEvent, text: string, status: MigrationStatus): void {
    const { slack, email, webhook } = this.config
    const line = `ferrite-migrate ${status.id}: ${text}`
    if (slack !== undefined) this.start('Slack', this.post(slack, { text: slackText(line) }))
    if (webhook !== undefined)
      this.start(
        'the webhook',
        this.post(webhook, { event, id: status.id, text, at: new Date().toISOString(), status }),
      )
    if (email !== undefined)
      this.start('e-mail', this.mail(email, `${status.id}: ${event}`, `${line}\n\n${facts(status)}\n`))
  }

  /** Resolves when everything is delivered or given up. */
  async flush(): Promise<void> {
    await Promise.all(this.underWay)
    for (const [way, count] of this.lost)
      if (count > 1) this.logger.log('warn', `${count} notifications by ${way} were not delivered`)
    this.lost.clear()
  }

  private start(way: string, work: Promise<void>): void {
    const late = sleep(GIVEN_UP_MS, undefined, { ref: false }).then(() => {
      throw new Error('it took too long')
    })
    const watched = Promise.race([work, late])
      .catch((error: unknown) => this.failed(way, (error as Error).message))
      .finally(() => this.underWay.delete(watched))
    this.underWay.add(watched)
  }

  /** The same failure is told once; how many there were, at the end. */
  private failed(way: string, why: string): void {
    const count = (this.lost.get(way) ?? 0) + 1
    this.lost.set(way, count)
    if (this.told.has(`${way} ${why}`)) return
    this.told.add(`${way} ${why}`)
    this.logger.log('warn', `a notification by ${way} was not delivered: ${why}`)
  }

  private async post(url: string, body: object): Promise<void> {
    const failure = await postJson(url, body, AbortSignal.timeout(TIMEOUT_MS))
    if (failure !== null) throw new Error(`it ${failure}`)
  }

  private async mail(to: string, subject: string, text: string): Promise<void> {
    const { createTransport } = optionalPackage<typeof import('nodemailer')>('nodemailer', 'mail')
    const { host, port, secure, user, password, from } = this.config.smtp
    const transport = createTransport({
      host,
      port,
      secure,
      ...(user === undefined ? {} : { auth: { user, pass: password ?? '' } }),
      connectionTimeout: TIMEOUT_MS,
      greetingTimeout: TIMEOUT_MS,
      socketTimeout: TIMEOUT_MS,
    })
    try {
      await transport.sendMail({
        from: from ?? user ?? 'ferrite-migrate@localhost',
        to,
        subject: `[ferrite-migrate] ${subject}`,
        text,
      })
    } finally {
      transport.close()
    }
  }
}

function facts(status: MigrationStatus): string {
  return [
    `Source: ${status.source}`,
    `Target: ${status.target}`,
    `Phase: ${status.phase}`,
    `Keys: ${status.keysDone}`,
    `Changes: ${status.changesApplied}`,
    `Failed: ${status.keysFailed}`,
    ...(status.error === null ? [] : [`Error ${status.error.code}: ${status.error.message}`]),
  ].join('\n')
}
