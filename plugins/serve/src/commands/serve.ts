import { BaseCommand, ExitCode, Flags } from '@ferrite-migrate/cli-kit'
import { pageRoot } from '../served/page-root.js'
import { serveFlags } from '../served/serve-flags.js'
import { Served } from '../served/served.js'

export default class Serve extends BaseCommand {
  static override description =
    'Answer programs and browsers over HTTP and WebSocket, for as long as it runs: JSON-RPC 2.0 at /rpc and /ws, metrics at /metrics, the dashboard at / (docs/serve.md)'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --listen 0.0.0.0:8970 --token-file /etc/ferrite-migrate/token --allow-host migrate.internal',
    '<%= config.bin %> <%= command.id %> --socket /run/ferrite-migrate.sock',
  ]
  static override enableJsonFlag = false
  static override flags = {
    ...serveFlags,
    socket: Flags.string({
      description: 'Path of a Unix socket to answer at instead: its file is the owner’s alone, and no token is wanted',
      helpValue: '<PATH>',
      exclusive: ['listen'],
    }),
  }

  async run(): Promise<void> {
    const { flags } = await this.parse(Serve)
    const say = (text: string): void => void process.stderr.write(`${text}\n`)
    const served = await Served.start({
      stateDir: this.stateDir(flags['state-dir']),
      registry: this.registry(flags.plugin),
      logger: await this.logger(flags, say),
      version: this.config.version,
      listen: flags.listen,
      socket: flags.socket,
      tokenFile: flags['token-file'],
      hosts: flags['allow-host'] ?? [],
      allowHooks: flags['allow-hooks'],
      page: pageRoot(),
    })
    const { url, token, open } = served.answering
    this.log(`Answering at ${url ?? flags.socket} (Ctrl-C ends it)`)
    // Not through the log of the command, which leaves secrets out: this once it is to be seen.
    if (token !== null) process.stdout.write(`Token, shown once: ${token}\n`)
    if (open) say('Others can reach it, and what is sent is not encrypted: put a proxy with TLS before it.')
    await served.untilSignal(say)
    process.exitCode = ExitCode.interrupted
  }
}
