import { createWriteStream } from 'node:fs'
import { type Logger, type LogLevel, MigrateError, printable, withoutSecrets } from '@ferrite-migrate/contracts'
import {
  createLogger,
  createReadableLogger,
  defaultStateDir,
  type FoundPlugin,
  findPlugin,
  KNOWN_PLUGINS,
  logLevelFrom,
  MissingPluginError,
  Registry,
} from '@ferrite-migrate/core'
import { openPrivate } from '@ferrite-migrate/files'
import { Command, Flags, type Interfaces } from '@oclif/core'
import { adapterFlags, opensSource, takeAdapterFlags } from './adapter-flags.js'
import { errorText } from './error-text.js'
import { ExitCode } from './exit-code.js'
import { offerPlugin, runAgain } from './plugins/offer-plugin.js'
import { SharedState } from './queue/shared-state.js'
import { coloured } from './render/colour.js'
import { columnsOf, fit } from './render/layout.js'
import { usageError } from './usage-error.js'

const USAGE =
  /^FM_(URL|CONFIG|OPTION|PACKAGE_MISSING|PLUGIN_(MISSING|MANIFEST|CONTRACT|SCHEME|REFUSED)|FILE|ENV|TLS_FILE|ID|STATE_DIR|RESUME|NOT_RUNNING|USAGE|SERVE_TOKEN|TRANSFORM_(INVALID|SCRIPT)|ROLLBACK_(DONE|RUNNING))/

/** The exit code that belongs to an error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof MigrateError)
    return error.code === 'FM_PREFLIGHT_REFUSED'
      ? ExitCode.refused
      : error.code === 'FM_VERIFY_DIFFERENCES'
        ? ExitCode.differences
        : error.code === 'FM_INTERRUPTED' || error.code === 'FM_NOT_CONFIRMED'
          ? ExitCode.interrupted
          : USAGE.test(error.code)
            ? ExitCode.usage
            : ExitCode.failed
  const { oclif } = error as { oclif?: { exit?: number } }
  // What oclif refuses while parsing is usage, whatever number it carries.
  const name = (error as Error).constructor?.name ?? ''
  return /Flag|Arg|Parse|Invalid|Nonexistent|CLIError/i.test(name) ? ExitCode.usage : (oclif?.exit ?? ExitCode.failed)
}

/** A log for the owner only. A disk that is full ends the log, not the work. */
function logFile(path: string): NodeJS.WritableStream & { write(text: string): boolean } {
  const stream = createWriteStream(path, { fd: openPrivate(path, 'a') })
  stream.once('error', (error) => process.stderr.write(`the log cannot be written any more: ${error.message}\n`))
  return stream
}

/** The plugins that oclif has loaded, as the registry takes them. */
export function loadedPlugins({ plugins }: Pick<Interfaces.Config, 'plugins'>): FoundPlugin[] {
  return [...plugins.values()].map(({ name, root, pjson }) => ({ name, root, packageJson: { ...pjson } }))
}

type FlagValues = Interfaces.OutputFlags<Interfaces.FlagInput>

/** What all commands share: --json, the state directory, the log, and how errors are shown. */
export abstract class BaseCommand extends Command {
  static override enableJsonFlag = true
  static override baseFlags = {
    'state-dir': Flags.string({
      description: 'Directory of the state database',
      env: 'FERRITE_MIGRATE_STATE_DIR',
      helpValue: '<DIR>',
      helpGroup: 'GLOBAL',
    }),
    verbose: Flags.boolean({ char: 'v', description: 'Verbose output', helpGroup: 'GLOBAL' }),
    trace: Flags.boolean({ description: 'Trace the network, values cut and secrets left out', helpGroup: 'GLOBAL' }),
    plugin: Flags.string({
      description:
        'Adapter package to use as well, found from the current directory; FERRITE_MIGRATE_PLUGINS names others',
      multiple: true,
      multipleNonGreedy: true,
      delimiter: ',',
      helpValue: '<PACKAGE>',
      helpGroup: 'GLOBAL',
    }),
    'log-file': Flags.string({
      description: 'Write the log to this file instead of the screen',
      helpValue: '<FILE>',
      helpGroup: 'GLOBAL',
    }),
  }

  /** Where a queue is named (`queueFlags`), the state directory is that of the queue; false = the command deals with it itself. */
  protected readonly sharesState: boolean = true
  private shared: SharedState | null = null

  /** What is shared by a queue; null = none is named. */
  protected get sharedState(): SharedState | null {
    return this.shared
  }

  /** Opens what is shared by a queue, from now on the state directory. @throws MigrateError FM_QUEUE_*, FM_PLUGIN_MISSING */
  protected async openShared(flags: Record<string, unknown>): Promise<void> {
    const { queue, plugin } = flags
    if (typeof queue !== 'string' || this.shared !== null) return
    const own = this.stateDir(typeof flags['state-dir'] === 'string' ? flags['state-dir'] : undefined)
    const registry = this.registry(Array.isArray(plugin) ? plugin.map(String) : [])
    const logger = await this.logger(flags, (text) => this.jsonEnabled() || process.stderr.write(`${text}\n`))
    this.shared = await SharedState.open(queue, own, registry, logger)
  }

  /** What was opened for the queue is closed. */
  protected async closeShared(): Promise<void> {
    const { shared } = this
    this.shared = null
    await shared?.close()
  }

  protected override async finally(error: Error | undefined): Promise<unknown> {
    await this.closeShared()
    return super.finally(error)
  }

  /** Has somebody follow a migration of the queue who can be asked; undefined = no queue is named. */
  protected get follow(): SharedState['follow'] | undefined {
    const { shared } = this
    return shared === null ? undefined : (id, kind) => shared.follow(id, kind)
  }

  /** With the flags of the sources that are installed, for a command that opens one: what they say joins --source-option. */
  protected override async parse<
    F extends FlagValues,
    B extends FlagValues,
    A extends Interfaces.OutputArgs<Interfaces.ArgInput>,
  >(options?: Interfaces.Input<F, B, A>, argv?: string[]): Promise<Interfaces.ParserOutput<F, B, A>> {
    const parsed = await this.parseAll(options, argv)
    if (this.sharesState) await this.openShared(parsed.flags)
    return parsed
  }

  private async parseAll<
    F extends FlagValues,
    B extends FlagValues,
    A extends Interfaces.OutputArgs<Interfaces.ArgInput>,
  >(options?: Interfaces.Input<F, B, A>, argv?: string[]): Promise<Interfaces.ParserOutput<F, B, A>> {
    if (options === undefined || !opensSource(options.flags)) return super.parse(options, argv)
    const registry = this.installed()
    // What is given is a class: some of its settings are its own, and others inherited.
    const flags = { ...options.flags, ...adapterFlags(registry) }
    const whole: typeof options = Object.assign(Object.create(options), options, { flags })
    const parsed = await super.parse(whole, argv)
    const values: Record<string, unknown> = parsed.flags
    const given = takeAdapterFlags(registry, values)
    const others = values['source-option']
    if (given.length > 0) values['source-option'] = [...(Array.isArray(others) ? others : []), ...given]
    return parsed
  }

  protected stateDir(flag: string | undefined): string {
    if (this.shared !== null) return this.shared.runner.directory
    return flag ?? (process.env.XDG_DATA_HOME === undefined ? this.config.dataDir : defaultStateDir())
  }

  /** A log of JSON lines where one is asked for; else warnings go to `warn` as plain text. */
  protected async logger(
    flags: { verbose?: boolean; trace?: boolean; 'log-file'?: string },
    warn: (text: string) => void,
  ): Promise<Logger> {
    const file = flags['log-file']
    const level: LogLevel | undefined = flags.trace
      ? 'trace'
      : flags.verbose
        ? 'debug'
        : (logLevelFrom(process.env) ?? (file ? 'info' : undefined))
    // On a terminal a person reads it, beside what is drawn there.
    if (level !== undefined && file === undefined && process.stderr.isTTY === true && !this.jsonEnabled())
      return createReadableLogger(level, (line) => warn(printable(withoutSecrets(line))))
    if (level !== undefined) return createLogger(level, file ? logFile(file) : process.stderr)
    return {
      log: (at, text) => (at === 'warn' || at === 'error') && warn(text),
      enabled: (at) => at === 'warn' || at === 'error',
    }
  }

  /** The adapters of the plugins that oclif has loaded, and of the packages that --plugin names. */
  protected registry(given: readonly string[] = []): Registry {
    const named = (process.env.FERRITE_MIGRATE_PLUGINS ?? '').split(',').map((name) => name.trim())
    const extra = [...given, ...named.filter((name) => name !== '')]
    return new Registry([...loadedPlugins(this.config), ...extra.map((name) => findPlugin(name, process.cwd()))])
  }

  /** The adapters of the plugins that are installed. */
  private installed(): Registry {
    return new Registry(loadedPlugins(this.config))
  }

  /** Everything for the screen goes through here: nothing of a server, a file or a key is obeyed by the terminal. */
  override log(message = '', ...args: unknown[]): void {
    const lines = fit(printable(withoutSecrets(message)).split('\n'), columnsOf(process.stdout))
    super.log(coloured(lines, process.stdout).join('\n'), ...args)
  }

  /** Says which migration was taken where none was named; nothing under --json, which has its id. */
  protected sayWhich(text: string): void {
    if (!this.jsonEnabled()) process.stderr.write(`${text}\n`)
  }

  /** What else a failed command gives under --json. */
  protected besideError(): Readonly<Record<string, unknown>> {
    return {}
  }

  /** What can be done after it failed. */
  protected belowError(): readonly string[] {
    return []
  }

  /** A flag that only a plugin brings which is not installed. */
  private missingFlag({ message }: Error): MissingPluginError | null {
    const flag = /^Nonexistent flag: --([a-z-]+)/.exec(message)?.[1]
    const plugin = KNOWN_PLUGINS.find(({ flags }) => flag !== undefined && flags?.includes(flag))
    return plugin === undefined || this.config.plugins.has(plugin.name)
      ? null
      : new MissingPluginError(`--${flag}`, plugin)
  }

  /** Installs what is missing, if that is wanted, and runs the same command line once more. */
  private async offer(missing: MissingPluginError): Promise<boolean> {
    if (!(await offerPlugin(missing, this.config, this.argv))) return false
    this.exit(await runAgain())
  }

  override async catch(given: Error & { exitCode?: number }): Promise<void> {
    const error = this.missingFlag(given) ?? given
    if (error instanceof MissingPluginError && (await this.offer(error))) return
    const code = exitCodeOf(error)
    const { id, flags = {} } = this.ctor
    const shown =
      error instanceof MigrateError || code !== ExitCode.usage
        ? error
        : usageError(
            error,
            id.replaceAll(':', ' '),
            Object.keys({
              ...BaseCommand.baseFlags,
              ...flags,
              ...(opensSource(flags) ? adapterFlags(this.installed()) : {}),
              json: 0,
            }),
          )
    if (this.jsonEnabled()) {
      const known = shown instanceof MigrateError
      this.logJson({
        error: {
          code: known ? shown.code : 'FM_INTERNAL',
          message: shown.message,
          hint: known ? shown.hint : 'This is a fault of ferrite-migrate: please report it with -v.',
        },
        ...this.besideError(),
      })
    } else {
      const lines = fit(errorText(shown).split('\n'), columnsOf(process.stderr))
      process.stderr.write(`${coloured(lines, process.stderr).join('\n')}\n`)
      for (const line of this.belowError()) process.stderr.write(`  ${line}\n`)
    }
    this.exit(code)
  }
}
