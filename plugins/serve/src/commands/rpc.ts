import { MigrationService, serveStdio } from '@ferrite-migrate/api'
import { BaseCommand, ExitCode, onSignals, queueFlags } from '@ferrite-migrate/cli-kit'

export default class Rpc extends BaseCommand {
  static override description =
    'Speak JSON-RPC 2.0 over standard input and output, a message a line, for programs that drive migrations (docs/protocol.md)'
  static override examples = ['<%= config.bin %> <%= command.id %>']
  static override flags = queueFlags
  static override enableJsonFlag = false

  async run(): Promise<void> {
    const { flags } = await this.parse(Rpc)
    // Standard output is the wire: nothing else may be written there.
    const logger = await this.logger(flags, (text) => process.stderr.write(`${text}\n`))
    const service = new MigrationService({
      stateDir: this.stateDir(flags['state-dir']),
      ...(flags.queue === undefined ? {} : { queue: flags.queue }),
      shared: this.sharedState,
      registry: this.registry(flags.plugin),
      logger,
      version: this.config.version,
      // Whoever started it may read what this process may.
      allowHooks: true,
      allowSecretPlaces: true,
    })
    const stop = new AbortController()
    const release = onSignals(
      () => {
        stop.abort()
        process.stdin.destroy()
      },
      () => process.exit(ExitCode.interrupted),
    )
    const { signal } = stop
    await serveStdio(service, { input: process.stdin, output: process.stdout, signal }, logger).finally(release)
    if (signal.aborted) process.exitCode = ExitCode.interrupted
  }
}
