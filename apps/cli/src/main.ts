import { fileURLToPath } from 'node:url'
import { MigrateError, printable } from '@ferrite-migrate/contracts'
import { flush, handle, run as runCommand, settings } from '@oclif/core'
import { ExitCode } from './base-command.js'
import { commandLine } from './command-line.js'
import { manifestIsStale } from './manifest.js'
import { hideSecrets } from './process-title.js'
import { errorText } from './usage-error.js'
import { capYoungGeneration } from './young-generation.js'

/** How long what a command has left open may still take. */
const LEAVES_WITHIN_MS = 1000

/** Ends the process although a plugin has timers or connections that it never closes. */
function leave(): void {
  setTimeout(() => process.exit(), LEAVES_WITHIN_MS).unref()
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
  capYoungGeneration()
  try {
    await runCommand(commandLine(argv), { root: fileURLToPath(from), ignoreManifest: manifestIsStale() })
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
