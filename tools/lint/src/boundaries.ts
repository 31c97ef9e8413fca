import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { circles, type ImportGraph, roomsOf } from './circles.js'
import { importedModules, importGraph } from './import-graph.js'

/** Which layers a layer may use; a package's layer is the `layer:` tag in its package.json's nx block. */
const MAY_USE: Readonly<Record<string, readonly string[]>> = {
  contracts: [],
  protocol: ['contracts'],
  redis: ['contracts', 'protocol'],
  files: ['contracts', 'protocol'],
  sandbox: ['contracts'],
  core: ['contracts', 'protocol', 'files'],
  api: ['contracts', 'core'],
  conformance: ['contracts', 'protocol'],
  /** What a browser loads: the parts of others that need no system are bundled into it. */
  page: ['core', 'api'],
  'create-plugin': [],
  'cli-kit': ['contracts', 'files', 'core'],
  plugin: ['contracts', 'protocol', 'redis', 'files', 'sandbox', 'core', 'api', 'page', 'cli-kit'],
  cli: ['contracts', 'files', 'core', 'cli-kit'],
  program: ['contracts', 'core', 'cli-kit', 'plugin', 'cli'],
  tool: ['contracts', 'protocol', 'redis', 'files', 'core', 'api', 'conformance', 'plugin', 'cli', 'program', 'tool'],
}

interface Package {
  readonly name: string
  readonly folder: string
  readonly layer: string
  readonly dependencies: readonly string[]
}

const root = resolve(import.meta.dirname, '..', '..', '..')

function readPackages(): Package[] {
  return globSync('{packages,plugins,apps,tools}/*/package.json', { cwd: root }).map((file) => {
    const json = JSON.parse(readFileSync(join(root, file), 'utf8')) as {
      name: string
      nx?: { tags?: string[] }
      dependencies?: Record<string, string>
      peerDependencies?: Record<string, string>
      devDependencies?: Record<string, string>
    }
    const layer = json.nx?.tags?.find((tag) => tag.startsWith('layer:'))?.slice(6) ?? ''
    return {
      name: json.name,
      folder: dirname(file),
      layer,
      // A page is published with what it uses in it.
      dependencies: Object.keys({
        ...json.dependencies,
        ...json.peerDependencies,
        ...(layer === 'page' ? json.devDependencies : {}),
      }),
    }
  })
}

const packages = readPackages()
const byName = new Map(packages.map((one) => [one.name, one]))
const problems: string[] = []

function check(user: Package, used: string, where: string): void {
  const other = byName.get(used)
  if (other === undefined || other === user) return
  if (!(MAY_USE[user.layer] ?? []).includes(other.layer))
    problems.push(`${where}: ${user.layer} must not use ${other.layer} (${used})`)
}

/** The imports that close a circle of folders. */
function doors(files: ImportGraph, rooms: readonly string[]): string {
  const steps = rooms
    .slice(1)
    .flatMap((to, i) =>
      [...files].flatMap(([file, used]) =>
        dirname(file) === rooms[i]
          ? [...used].filter((other) => dirname(other) === to).map((other) => `  ${file} -> ${other}`)
          : [],
      ),
    )
  return steps.join('\n')
}

for (const one of packages) {
  if (!(one.layer in MAY_USE)) problems.push(`${one.folder}/package.json: no known layer: tag`)
  for (const dependency of one.dependencies) check(one, dependency, `${one.folder}/package.json`)
  const files = importGraph(root, `${one.folder}/src`)
  for (const file of files.keys())
    for (const module of importedModules(readFileSync(join(root, file), 'utf8'))) {
      const name = module.startsWith('@') ? module.split('/').slice(0, 2).join('/') : module.split('/')[0]
      check(one, name, relative('.', file))
      if (byName.has(name) && name !== one.name && !one.dependencies.includes(name))
        problems.push(`${file}: uses ${name}, which is no dependency of its package`)
      if (module.startsWith('..') && !resolve(root, dirname(file), module).startsWith(resolve(root, one.folder)))
        problems.push(`${file}: reaches into another package (${module})`)
    }
  for (const path of circles(files)) problems.push(`a circle of files: ${path.join(' -> ')}`)
  for (const path of circles(roomsOf(files)))
    problems.push(`a circle of folders, so one of them imports upwards: ${path.join(' -> ')}\n${doors(files, path)}`)
}

if (problems.length > 0) {
  console.error(problems.join('\n'))
  process.exitCode = 1
} else console.log(`Layers hold, no circle, no import upwards: ${packages.length} packages.`)
