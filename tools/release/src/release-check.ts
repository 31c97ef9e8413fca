import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { TestServer } from '@ferrite-migrate/servers'
import { installClients } from './check/clients.js'
import { manifestFaults } from './check/manifest-faults.js'
import { type PackageManager, packageManagers } from './check/package-managers.js'
import { type Fixtures, makeFixtures, PLUGIN_TRIALS, type PluginTrial } from './check/plugin-trials.js'
import { upgradeTrial } from './check/upgrade.js'
import { Verdaccio } from './check/verdaccio.js'
import { WorkspaceCopy } from './check/workspace-copy.js'
import { must } from './process/run.js'

/**
 * `npm run release:check`: a release from end to end, to a registry of its own on loopback. Everything that is pending is versioned,
 * published and installed as a stranger would. Nothing of it is seen here or elsewhere afterwards. `--short`: each plugin by one
 * package manager, in turn.
 */
const AT_ONCE = 3
const SHORT = process.argv.includes('--short')
const AS_LIBRARY = resolve(import.meta.dirname, '..', 'trials', 'as-library.mjs')

let failed = 0
let passed = 0

/** One line for each thing that was tried. */
async function tried(what: string, work: () => Promise<void>): Promise<void> {
  const startedAt = Date.now()
  try {
    await work()
    passed++
    console.log(`ok      ${what} (${((Date.now() - startedAt) / 1000).toFixed(1)} s)`)
  } catch (error) {
    failed++
    console.log(`FAILED  ${what}\n${(error as Error).message.replace(/^/gm, '        ')}`)
  }
}

/** What everything after it stands on. */
async function step<T>(what: string, work: () => Promise<T>): Promise<T> {
  const startedAt = Date.now()
  const made = await work()
  console.log(`        ${what} (${((Date.now() - startedAt) / 1000).toFixed(1)} s)`)
  return made
}

async function allAtOnce(works: readonly (() => Promise<void>)[]): Promise<void> {
  const left = [...works]
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let work = left.shift(); work !== undefined; work = left.shift()) await work()
    }),
  )
}

async function withTarget(work: (target: TestServer) => Promise<void>): Promise<void> {
  const target = await TestServer.start()
  try {
    await work(target)
  } finally {
    await target.stop()
  }
}

async function wholeProgram(
  manager: PackageManager,
  directory: string,
  version: string,
  fixtures: Fixtures,
): Promise<void> {
  const project = await manager.install(directory, ['ferrite-migrate'])
  const { output } = await project.program(['--version'])
  if (!output.startsWith(`ferrite-migrate/${version} `)) throw new Error(`--version says:\n${output}`)
  const migrates = PLUGIN_TRIALS[0]
  await withTarget((target) => migrates.run(project, fixtures, target))
  const used = await project.module(AS_LIBRARY)
  if (used.output.trim() !== 'true') throw new Error(`as a library:\n${used.output}`)
}

async function pluginAlone(
  manager: PackageManager,
  directory: string,
  trial: PluginTrial,
  fixtures: Fixtures,
): Promise<void> {
  const needed = ['@ferrite-migrate/cli', '@ferrite-migrate/target-ferrite', ...(trial.beside ?? []), trial.plugin]
  const project = await manager.install(directory, needed)
  await withTarget((target) => trial.run(project, fixtures, target))
}

/** What of the changelogs would not read well. */
function changelogFaults(copy: WorkspaceCopy): string[] {
  const faults: string[] = []
  const pending = readdirSync(join(copy.directory, '.changeset')).filter((name) => name.endsWith('.md'))
  if (pending.length > 0) faults.push(`not taken in: ${pending.join(', ')}`)
  const logs = copy.manifests().map(({ folder }) => join(folder, 'CHANGELOG.md'))
  for (const file of [join(copy.directory, 'CHANGELOG.md'), ...logs.filter(existsSync)]) {
    const text = readFileSync(file, 'utf8')
    const name = relative(copy.directory, file)
    if (/^- [0-9a-f]{7,40}: /m.test(text)) faults.push(`${name}: lines begin with the number of a commit`)
    if (/^- *$/m.test(text)) faults.push(`${name}: an empty line of a list`)
    if (/\b(TODO|WIP|fixup)\b/.test(text)) faults.push(`${name}: a note to oneself`)
  }
  return faults
}

function refuse(faults: readonly string[]): void {
  if (faults.length > 0) throw new Error(faults.join('\n'))
}

const directory = mkdtempSync(join(tmpdir(), 'fm-release-'))
const folder = (name: string): string => join(directory, name.replaceAll(/[^a-z0-9-]+/g, '-'))
const stops: (() => Promise<void>)[] = []
try {
  const clients = await step('npm clients and a registry installed', installClients)
  const registry = await step('registry started', () => Verdaccio.start(clients, folder('registry')))
  stops.push(() => registry.stop())
  const copy = await step('workspace copied', () => WorkspaceCopy.make(folder('workspace')))
  const from = versionOf(copy)
  await step(`${from} published`, () => copy.publish(registry.npmrc, 'as it is'))
  await step('pending changes versioned', () => copy.version())
  const to = versionOf(copy)
  await tried('every pending change is in a changelog that reads well', async () => refuse(changelogFaults(copy)))
  await tried('what was versioned is clean to the linter', async () => {
    await must(join(copy.directory, 'node_modules', '.bin', 'biome'), ['check', '.'], { cwd: copy.directory })
  })
  await tried('what packages say of themselves', async () =>
    refuse(copy.manifests().flatMap((one) => manifestFaults(one.manifest, relative(copy.directory, one.folder)))),
  )
  await step(`${to} published`, () => copy.publish(registry.npmrc, 'built'))
  const fixtures = await makeFixtures(directory)
  stops.push(() => fixtures.source.stop())
  const { managers, plugAndPlay } = packageManagers(registry, clients, folder('shared'))
  // One after the other at first: what comes from others is then in each cache.
  for (const manager of managers)
    await tried(`${manager.name}: ferrite-migrate`, () =>
      wholeProgram(manager, folder(`whole-${manager.name}`), to, fixtures),
    )
  await allAtOnce([
    ...PLUGIN_TRIALS.flatMap((trial, i) =>
      (SHORT ? [managers[i % managers.length]] : managers).map(
        (manager) => () =>
          tried(`${manager.name}: ${trial.plugin}`, () =>
            pluginAlone(manager, folder(`${trial.plugin}-${manager.name}`), trial, fixtures),
          ),
      ),
    ),
    () =>
      tried(`${plugAndPlay.name}: refused in a line`, async () => {
        const project = await plugAndPlay.install(folder('pnp'), ['ferrite-migrate'])
        const { code, output } = await project.program(['--version'])
        if (code !== 2 || !output.includes('FM_INSTALLED_PNP')) throw new Error(`it ended with ${code}:\n${output}`)
      }),
    () =>
      tried('npx ferrite-migrate --version', async () => {
        const { told } = await must('npx', ['--yes', '--cache', folder('npx'), 'ferrite-migrate', '--version'], {
          cwd: folder('shared'),
          env: { npm_config_registry: registry.url },
        })
        if (!told.startsWith(`ferrite-migrate/${to} `)) throw new Error(told)
      }),
    () =>
      tried('plugins install, from the registry', async () => {
        const project = await managers[0].install(folder('installs'), [
          '@ferrite-migrate/cli',
          '@ferrite-migrate/target-ferrite',
        ])
        const env = { npm_config_registry: registry.url, npm_config_cache: join(folder('shared'), 'npm') }
        const { code, output } = await project.program(['plugins', 'install', '@ferrite-migrate/source-rdb'], { env })
        if (code !== 0 || !output.includes(`Installed @ferrite-migrate/source-rdb ${to}.`)) throw new Error(output)
        const trial = PLUGIN_TRIALS.find(({ plugin }) => plugin === '@ferrite-migrate/source-rdb')
        await withTarget(async (target) => trial?.run(project, fixtures, target))
      }),
    () =>
      tried(`an upgrade from ${from} to ${to}, in the middle of a migration`, () =>
        upgradeTrial(managers[0], folder('upgrade'), from, to),
      ),
  ])
} catch (error) {
  failed++
  console.log(`FAILED  ${(error as Error).message}`)
} finally {
  for (const stop of stops.reverse()) await stop()
  if (process.env.FERRITE_MIGRATE_KEEP === undefined) rmSync(directory, { recursive: true, force: true })
  else console.log(`        kept: ${directory}`)
}
console.log(`release: ${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

function versionOf(copy: WorkspaceCopy): string {
  const found = copy.manifests().find(({ manifest }) => manifest.name === 'ferrite-migrate')
  if (found === undefined) throw new Error('there is no package ferrite-migrate')
  return found.manifest.version
}
