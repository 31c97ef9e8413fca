import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Config, flush, handle, run as runCommand, settings } from '@ferrite-migrate/cli-kit/oclif'
import { ExitCode, errorText } from '@ferrite-migrate/cli-kit/start'
import { MigrateError, printable } from '@ferrite-migrate/contracts'
import { commandLine } from './command-line.js'
import { dataDirectory } from './plugins/data-directory.js'
import { loadPlugins } from './plugins/load-plugins.js'
import { shareKit } from './plugins/share-kit.js'
import { hideSecrets } from './process-title.js'
import { capYoungGeneration } from './young-generation.js'

/** How long what a command has left open may still take. */
const LEAVES_WITHIN_MS = 1000

/** Leaves the user's own plugins out, wherever it stands. */
const NO_PLUGINS = '--no-plugins'
/** As `oclif.dirname` of the package says. */
const DIRNAME = 'ferrite-migrate'

/** Ends the process although a plugin has timers or connections that it never closes. */
function leave(): void {
  setTimeout(() => process.exit(), LEAVES_WITHIN_MS).unref()
}

/** @throws MigrateError FM_INSTALLED_PNP: plugins, and the threads and processes that run scripts, are files in node_modules */
function refusePlugAndPlay(): void {
  if (process.versions.pnp === undefined) return
  throw new MigrateError(
    'FM_INSTALLED_PNP',
    "ferrite-migrate does not run from the archives of yarn's Plug'n'Play",
    'Set nodeLinker: node-modules in .yarnrc.yml and run yarn install again, or install it globally.',
  )
}

/** Runs the CLI. Without a command name, flags mean `migrate`, as on the product page. */
export async function run(argv: readonly string[], from: string): Promise<void> {
  hideSecrets(argv)
  // node:sqlite announces itself as experimental on every start; other warnings stay.
  process.removeAllListeners('warning')
  process.on('warning', (warning) => {
    if (warning.name !== 'ExperimentalWarning') console.error(printable(`${warning.name}: ${warning.message}`))
  })
  settings.performanceEnabled = false
  // What is installed is built: oclif would look for sources and for TypeScript.
  settings.enableAutoTranspile = false
  capYoungGeneration()
  try {
    refusePlugAndPlay()
    const root = dirname(dirname(fileURLToPath(from)))
    const own = !argv.includes(NO_PLUGINS)
    const { plugins, faults } = await loadPlugins(root, own ? dataDirectory(process.env, DIRNAME) : null)
    for (const fault of faults) process.stderr.write(`${printable(fault)}\n`)
    shareKit()
    const config = new Config({ root, plugins })
    await config.load()
    await runCommand(commandLine(argv.filter((word) => word !== NO_PLUGINS)), config)
    await flush()
  } catch (error) {
    // Only what no command has caught: a command that does not exist.
    if (!(error instanceof MigrateError)) return handle(error as Error)
    if (argv.includes('--json'))
      process.stdout.write(
        `${JSON.stringify({ error: { code: error.code, message: error.message, hint: error.hint } }, null, 2)}\n`,
      )
    else process.stderr.write(`${errorText(error)}\n`)
    process.exitCode = ExitCode.usage
  } finally {
    leave()
  }
}
