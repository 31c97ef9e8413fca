import { Flags } from '@ferrite-migrate/cli-kit'
import { MigrateError } from '@ferrite-migrate/contracts'
import { openPage } from '../served/open-page.js'
import { pageRoot } from '../served/page-root.js'
import { ServeCommand, serveFlags } from '../served/serve-command.js'

export default class Dashboard extends ServeCommand {
  static override description = 'Watch and drive migrations in a browser: serve, and open its page (docs/serve.md)'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --no-open --listen 9000',
  ]
  static override flags = {
    ...serveFlags,
    open: Flags.boolean({ description: 'Open the page in a browser', default: true, allowNo: true }),
  }

  async run(): Promise<void> {
    const { flags } = await this.parse(Dashboard)
    const page = pageRoot()
    if (page === null)
      throw new MigrateError(
        'FM_PACKAGE_MISSING',
        'the page of the dashboard is not installed',
        'Install it: npm install @ferrite-migrate/dashboard. In a clone: npm run build.',
      )
    await this.serve(flags, page, ({ url, token }) => {
      // Behind # it reaches neither the service's log nor a proxy's.
      const address = `${url}/${token === null ? '' : `#token=${token}`}`
      process.stdout.write(`Dashboard: ${address}\nCtrl-C ends it.\n`)
      if (flags.open && process.stdout.isTTY === true) openPage(address)
    })
  }
}
