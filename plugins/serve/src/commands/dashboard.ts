import { spawn } from 'node:child_process'
import { BaseCommand, ExitCode, Flags } from '@ferrite-migrate/cli-kit'
import { MigrateError } from '@ferrite-migrate/contracts'
import { pageRoot } from '../served/page-root.js'
import { serveFlags } from '../served/serve-flags.js'
import { Served } from '../served/served.js'

const OPENERS: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  darwin: ['open'],
  win32: ['cmd', '/c', 'start', ''],
}

/** Opens a page in whatever the system opens pages with; nothing happens where there is no such thing. */
function openPage(url: string): void {
  const [program, ...args] = OPENERS[process.platform] ?? ['xdg-open']
  const child = spawn(program, [...args, url], { stdio: 'ignore', detached: true })
  child.on('error', () => undefined)
  child.unref()
}

export default class Dashboard extends BaseCommand {
  static override description = 'Watch and drive migrations in a browser: serve, and open its page (docs/serve.md)'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --no-open --listen 9000',
  ]
  static override enableJsonFlag = false
  static override flags = {
    ...serveFlags,
    open: Flags.boolean({ description: 'Open the page in a browser', default: true, allowNo: true }),
  }

  async run(): Promise<void> {
    const { flags } = await this.parse(Dashboard)
    const say = (text: string): void => void process.stderr.write(`${text}\n`)
    const page = pageRoot()
    if (page === null)
      throw new MigrateError(
        'FM_PACKAGE_MISSING',
        'the page of the dashboard is not installed',
        'Install it: npm install @ferrite-migrate/dashboard. In a clone: npm run build.',
      )
    const served = await Served.start({
      stateDir: this.stateDir(flags['state-dir']),
      registry: this.registry(flags.plugin),
      logger: await this.logger(flags, say),
      version: this.config.version,
      listen: flags.listen,
      socket: undefined,
      tokenFile: flags['token-file'],
      hosts: flags['allow-host'] ?? [],
      allowHooks: flags['allow-hooks'],
      page,
    })
    const { url, token, open } = served.answering
    // Behind # it reaches neither the service's log nor a proxy's.
    const address = `${url}/${token === null ? '' : `#token=${token}`}`
    process.stdout.write(`Dashboard: ${address}\nCtrl-C ends it.\n`)
    if (open) say('Others can reach it, and what is sent is not encrypted: put a proxy with TLS before it.')
    if (flags.open && process.stdout.isTTY === true) openPage(address)
    await served.untilSignal(say)
    process.exitCode = ExitCode.interrupted
  }
}
