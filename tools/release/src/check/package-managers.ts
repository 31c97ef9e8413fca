import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { must, type Ran, type RunOptions, run } from '../process/run.js'
import type { Verdaccio } from './verdaccio.js'

/** An empty project into which something was installed. */
export interface Project {
  readonly directory: string
  /** Runs the program as the package manager would. */
  program(args: readonly string[], options?: Omit<RunOptions, 'cwd'>): Promise<Ran>
  /** Runs a module as one of the project's own. */
  module(file: string): Promise<Ran>
}

export interface PackageManager {
  readonly name: string
  /** @throws Error what it said, also when it only warned of scripts that it would not run */
  install(directory: string, packages: readonly string[]): Promise<Project>
}

/** What a step of CI has: no terminal, and folders of its own. */
function environment(directory: string): Record<string, string> {
  return {
    CI: 'true',
    NO_COLOR: '1',
    FERRITE_MIGRATE_STATE_DIR: join(directory, 'state'),
    XDG_DATA_HOME: join(directory, 'data'),
    XDG_CACHE_HOME: join(directory, 'cache'),
  }
}

/** npm, pnpm, and yarn in both of its layouts. @param packages where the last three are installed @param shared their common cache */
export function packageManagers(
  registry: Verdaccio,
  packages: string,
  shared: string,
): {
  readonly managers: readonly PackageManager[]
  /** Yarn's other layout, in which the program refuses to run. */
  readonly plugAndPlay: PackageManager
} {
  const yarn = join(packages, '@yarnpkg', 'cli-dist', 'bin', 'yarn.js')
  const empty = (directory: string): void => {
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, 'package.json'), '{ "name": "project", "version": "1.0.0", "private": true }\n')
    writeFileSync(join(directory, '.npmrc'), registry.npmrc)
  }
  const project = (
    directory: string,
    start: readonly string[],
    node: readonly string[],
    env: Record<string, string>,
  ): Project => {
    const all = { ...environment(directory), ...env }
    const inFolder = (given?: Omit<RunOptions, 'cwd'>): RunOptions => ({
      ...given,
      cwd: directory,
      env: { ...all, ...given?.env },
    })
    return {
      directory,
      program: (args, given) => run(start[0], [...start.slice(1), ...args], inFolder(given)),
      module: (file) => {
        copyFileSync(file, join(directory, basename(file)))
        return run(node[0], [...node.slice(1), join(directory, basename(file))], inFolder())
      },
    }
  }
  const byYarn = (linker: 'node-modules' | 'pnp'): PackageManager => ({
    name: linker === 'pnp' ? 'yarn (pnp)' : 'yarn',
    install: async (directory, wanted) => {
      empty(directory)
      writeFileSync(join(directory, 'yarn.lock'), '')
      const env = {
        YARN_NPM_REGISTRY_SERVER: registry.url,
        YARN_UNSAFE_HTTP_WHITELIST: '127.0.0.1',
        YARN_NODE_LINKER: linker,
        YARN_ENABLE_TELEMETRY: '0',
        YARN_ENABLE_IMMUTABLE_INSTALLS: '0',
        // What was published a minute ago is what is tried here.
        YARN_NPM_MINIMAL_AGE_GATE: '0',
        YARN_GLOBAL_FOLDER: join(shared, 'yarn'),
      }
      const { output } = await must(process.execPath, [yarn, 'add', ...wanted], {
        cwd: directory,
        env: { ...environment(directory), ...env },
      })
      refuseScripts(output)
      const start = [process.execPath, yarn, 'run']
      return project(directory, [...start, 'ferrite-migrate'], [process.execPath, yarn, 'node'], env)
    },
  })
  const beside = (directory: string): Project =>
    project(directory, [join(directory, 'node_modules', '.bin', 'ferrite-migrate')], [process.execPath], {})
  const managers: PackageManager[] = [
    {
      name: 'npm',
      install: async (directory, wanted) => {
        empty(directory)
        const flags = ['--no-audit', '--no-fund', '--cache', join(shared, 'npm')]
        const { output } = await must('npm', ['install', ...flags, ...wanted], {
          cwd: directory,
          env: environment(directory),
        })
        refuseScripts(output)
        return beside(directory)
      },
    },
    {
      name: 'pnpm',
      install: async (directory, wanted) => {
        empty(directory)
        const flags = [
          '--store-dir',
          join(shared, 'pnpm'),
          '--config.minimum-release-age=0',
          `--registry=${registry.url}`,
        ]
        const { output } = await must(join(packages, '.bin', 'pnpm'), ['add', ...flags, ...wanted], {
          cwd: directory,
          env: environment(directory),
        })
        refuseScripts(output)
        return beside(directory)
      },
    },
    byYarn('node-modules'),
  ]
  return { managers, plugAndPlay: byYarn('pnp') }
}

/** Scripts at the installation are what careful people forbid. */
function refuseScripts(output: string): void {
  if (/install scripts|build scripts|deprecated/i.test(output)) throw new Error(`it warns:\n${output.slice(-2000)}`)
}
