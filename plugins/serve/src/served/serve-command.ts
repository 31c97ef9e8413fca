import { BaseCommand, ExitCode, Flags, queueFlags } from '@ferrite-migrate/cli-kit'
import { MigrateError } from '@ferrite-migrate/contracts'
import { Served, type ServedNeeds } from './served.js'

/** What `serve` and `dashboard` share. */
export const serveFlags = {
  ...queueFlags,
  listen: Flags.string({
    description: 'Address to answer at: HOST:PORT, or PORT for this machine alone',
    default: '127.0.0.1:8970',
    helpValue: '<ADDRESS>',
  }),
  'token-file': Flags.string({
    description: 'File that holds the token clients have to know [default: one is made and shown]',
    helpValue: '<FILE>',
  }),
  'allow-host': Flags.string({
    description: 'Name that the service is called by, beside localhost and addresses (behind a proxy)',
    multiple: true,
    multipleNonGreedy: true,
    delimiter: ',',
    helpValue: '<NAME>',
  }),
  'allow-hooks': Flags.boolean({ description: 'Take shell commands from clients as hooks of a cutover' }),
  'allow-secret-places': Flags.boolean({
    description:
      'Let clients name files and variables of this machine that hold passwords, and use FERRITE_MIGRATE_SOURCE_PASSWORD and FERRITE_MIGRATE_TARGET_PASSWORD for what they begin',
  }),
}

interface ServeFlags {
  readonly listen: string
  readonly socket?: string
  readonly 'token-file'?: string
  readonly 'allow-host'?: string[]
  readonly 'allow-hooks': boolean
  readonly 'allow-secret-places': boolean
  readonly 'state-dir'?: string
  readonly queue?: string
  readonly plugin?: string[]
  readonly verbose?: boolean
  readonly trace?: boolean
  readonly 'log-file'?: string
}

/** @throws MigrateError FM_OPTION_VALUE */
function mustBeName(host: string): void {
  if (/^[a-z0-9_]([a-z0-9_.-]{0,252}[a-z0-9])?\.?(:\d{1,5})?$/i.test(host)) return
  throw new MigrateError(
    'FM_OPTION_VALUE',
    `"${host.slice(0, 60)}" is no name of a host`,
    'Give a name such as migrate.internal, without scheme and path.',
  )
}

/** A command that answers until a signal ends it. */
export abstract class ServeCommand extends BaseCommand {
  static override enableJsonFlag = false

  /** @param introduce says where it answers, once it does */
  protected async serve(
    flags: ServeFlags,
    page: ServedNeeds['page'],
    introduce: (answering: Served['answering']) => void,
  ): Promise<void> {
    const say = (text: string): void => void process.stderr.write(`${text}\n`)
    for (const host of flags['allow-host'] ?? []) mustBeName(host)
    const served = await Served.start({
      stateDir: this.stateDir(flags['state-dir']),
      ...(flags.queue === undefined ? {} : { queue: flags.queue }),
      shared: this.sharedState,
      registry: this.registry(flags.plugin),
      logger: await this.logger(flags, say),
      version: this.config.version,
      listen: flags.listen,
      socket: flags.socket,
      tokenFile: flags['token-file'],
      hosts: flags['allow-host'] ?? [],
      allowHooks: flags['allow-hooks'],
      allowSecretPlaces: flags['allow-secret-places'],
      page,
    })
    introduce(served.answering)
    if (served.answering.open)
      say('Others can reach it, and what is sent is not encrypted: put a proxy with TLS before it.')
    await served.untilSignal(say)
    process.exitCode = ExitCode.interrupted
  }
}
