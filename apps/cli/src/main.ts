import { fileURLToPath } from 'node:url'
import { printable } from '@ferrite-migrate/contracts'
import { execute, settings } from '@oclif/core'
import { manifestIsStale } from './manifest.js'
import { hideSecrets } from './process-title.js'
import { capYoungGeneration } from './young-generation.js'

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
  const first = argv[0]
  const bare = first?.startsWith('-') && !['-h', '--help', '--version'].includes(first)
  await execute({
    args: bare ? ['migrate', ...argv] : [...argv],
    loadOptions: { root: fileURLToPath(from), ignoreManifest: manifestIsStale() },
  })
}
