import type { Manifest } from './workspace-copy.js'

const REPOSITORY = 'git+https://github.com/ferrite-migrate/ferrite-migrate.git'
const SCRIPTS = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']

/** What of a package would make it a bad guest where it is installed, or could not be traced to where it was made. */
export function manifestFaults(manifest: Manifest, directory: string): string[] {
  const {
    name,
    license,
    repository,
    publishConfig,
    engines,
    files,
    description,
    scripts = {},
    dependencies = {},
  } = manifest
  const faults: string[] = []
  const wants = (right: boolean, what: string): void => {
    if (!right) faults.push(`${name}: ${what}`)
  }
  const { url, directory: told, type } = (repository ?? {}) as Record<string, unknown>
  // Provenance is refused by the registry where these do not name the repository that the workflow runs in.
  wants(type === 'git' && url === REPOSITORY, `repository.url is not ${REPOSITORY}`)
  wants(told === directory, `repository.directory is not ${directory}`)
  wants((publishConfig as { access?: unknown } | undefined)?.access === 'public', 'publishConfig.access is not public')
  wants(license === 'Apache-2.0', 'license is not Apache-2.0')
  wants(typeof description === 'string' && description.length > 20, 'it has no description')
  wants((engines as { node?: unknown } | undefined)?.node === '>=22.13', 'engines.node is not >=22.13')
  wants(Array.isArray(files) && files.length > 0, 'it does not say which files it has')
  for (const script of SCRIPTS)
    wants(!(script in (scripts as object)), `it has the script ${script}, which runs at the installation`)
  for (const [other, range] of Object.entries(dependencies as Record<string, string>))
    wants(
      !/^(\*|file:|link:|workspace:|git)/.test(range),
      `it depends on ${other} ${range}, which no registry can give`,
    )
  return faults
}
