import { accessSync, constants, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { loadedPlugins } from '@ferrite-migrate/cli-kit'
import type { Config } from '@ferrite-migrate/cli-kit/oclif'
import { CONTRACT_MAJOR, MigrateError, parseManifest } from '@ferrite-migrate/contracts'
import { StateStore } from '@ferrite-migrate/core'

/** A directory that the program writes to. */
export interface Place {
  readonly path: string
  /** Null = it can be written to. */
  readonly fault: string | null
  /** Bytes that are free there; null = that cannot be told. */
  readonly free: number | null
}

export interface InstalledPlugin {
  readonly name: string
  readonly version: string
  readonly folder: string
  /** Contract of its adapters; null = it has none. */
  readonly contract: number | null
  /** Null = it can be used. */
  readonly fault: string | null
}

/** What runs here, and whether it is whole: for bug reports, and for whoever installed it. Names no secret and no server. */
export interface Installation {
  readonly program: string
  readonly version: string
  readonly folder: string
  /** The one file that it was unpacked from; null = it was installed in another way. */
  readonly executable: string | null
  readonly node: string
  readonly platform: string
  /** Of adapters that this program takes. */
  readonly contract: number
  readonly state: Place
  /** Where spools and undo journals of large migrations and scratch files lie while they are needed. */
  readonly temporary: Place
  readonly plugins: readonly InstalledPlugin[]
  readonly whole: boolean
}

/** Looks at it; the state directory is made where there is none, as every command does. */
export function examineInstallation(config: Config, stateDir: string): Installation {
  const plugins = loadedPlugins(config)
    .filter(({ packageJson }) => packageJson.ferriteMigrate !== undefined || commandsOf(packageJson))
    .map(({ name, root, packageJson }): InstalledPlugin => {
      const told = { name, version: String(packageJson.version ?? ''), folder: root }
      const manifest = packageJson.ferriteMigrate
      if (manifest === undefined) return { ...told, contract: null, fault: null }
      const contract = Number((manifest as { contract?: unknown }).contract)
      return {
        ...told,
        contract: Number.isInteger(contract) ? contract : null,
        fault: manifestFault(manifest, root, name),
      }
    })
  const state = place(stateDir, () => new StateStore(stateDir).close())
  const temporary = place(tmpdir(), () => accessSync(tmpdir(), constants.W_OK))
  return {
    program: config.name,
    version: config.version,
    folder: config.root,
    executable: process.env.FERRITE_MIGRATE_EXECUTABLE ?? null,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    contract: CONTRACT_MAJOR,
    ...{ state, temporary, plugins },
    whole: state.fault === null && temporary.fault === null && plugins.every(({ fault }) => fault === null),
  }
}

function commandsOf({ oclif }: Readonly<Record<string, unknown>>): boolean {
  return typeof oclif === 'object' && oclif !== null && 'commands' in oclif && !('bin' in oclif)
}

function manifestFault(manifest: unknown, root: string, name: string): string | null {
  try {
    parseManifest(manifest, root, name)
    return null
  } catch (error) {
    return error instanceof MigrateError ? `${error.code} ${error.message}` : String(error)
  }
}

function place(path: string, use: () => void): Place {
  try {
    use()
  } catch (error) {
    return { path, fault: (error as Error).message, free: freeAt(path) }
  }
  return { path, fault: null, free: freeAt(path) }
}

function freeAt(path: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  } catch {
    return null
  }
}
