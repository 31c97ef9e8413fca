import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { PackageRegistry } from '@ferrite-migrate/servers'
import { must } from './run.js'

/** Installs the whole program as it would be published now into an empty folder, without scripts. */
export async function installProgram(folder: string): Promise<void> {
  const registry = await PackageRegistry.start()
  try {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    writeFileSync(
      `${folder}/package.json`,
      '{ "name": "ferrite-migrate-installation", "version": "0.0.0", "private": true }\n',
    )
    const flags = ['--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error']
    await must('npm', ['install', ...flags, 'ferrite-migrate'], {
      cwd: folder,
      env: { npm_config_registry: registry.url },
    })
  } finally {
    await registry.stop()
  }
}
