import { Flags } from '@ferrite-migrate/cli-kit'
import { pageRoot } from '../served/page-root.js'
import { ServeCommand, serveFlags } from '../served/serve-command.js'

export default class Serve extends ServeCommand {
  static override description =
    'Answer programs and browsers over HTTP and WebSocket, for as long as it runs: JSON-RPC 2.0 at /rpc and /ws, metrics at /metrics, the dashboard at / (docs/serve.md)'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --listen 0.0.0.0:8970 --token-file /etc/ferrite-migrate/token --allow-host migrate.internal',
    '<%= config.bin %> <%= command.id %> --socket /run/ferrite-migrate.sock',
  ]
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
    await this.serve(flags, pageRoot(), ({ url, token }) => {
      this.log(`Answering at ${url ?? flags.socket} (Ctrl-C ends it)`)
      // Not through the log of the command, which leaves secrets out: this once it is to be seen.
      if (token !== null) process.stdout.write(`Token, shown once: ${token}\n`)
    })
  }
}
