import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/**
 * `npm run licenses`: the licence of everything that comes with an installation of any package of this workspace. One that is not
 * on the list of those that go with Apache-2.0, or that is not told, fails.
 */
const ROOT = resolve(import.meta.dirname, '..', '..', '..')
const GOOD = new Set([
  ...[
    '0BSD',
    'Apache-2.0',
    'BlueOak-1.0.0',
    'BSD-2-Clause',
    'BSD-3-Clause',
    'CC0-1.0',
    'ISC',
    'MIT',
    'MIT-0',
    'PSF-2.0',
    'Python-2.0',
  ],
  ...['Unlicense', 'WTFPL', 'Zlib'],
  // Weak: what is changed of its own files is to be shown, and none are changed.
  'MPL-2.0',
])

interface Locked {
  readonly version?: string
  readonly license?: string
  readonly dev?: boolean
  readonly link?: boolean
}

/** One of several is enough where there is a choice; all have to be good where all hold. */
function isGood(expression: string): boolean {
  const text = expression.replace(/^\((.*)\)$/, '$1')
  if (/ AND /.test(text)) return text.split(' AND ').every(isGood)
  return text.split(' OR ').some((one) => GOOD.has(one.trim()))
}

const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as { packages: Record<string, Locked> }
const found = new Map<string, string[]>()
const bad: string[] = []
for (const [path, { version, license, dev, link }] of Object.entries(lock.packages)) {
  if (!path.includes('node_modules/') || dev === true || link === true) continue
  const name = `${path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)}@${version}`
  const file = join(ROOT, path, 'package.json')
  const own = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { license?: unknown }).license : undefined
  const told = license ?? (typeof own === 'string' ? own : 'not told')
  found.set(told, [...(found.get(told) ?? []), name])
  if (!isGood(told)) bad.push(`${name}: ${told}`)
}
for (const [license, names] of [...found].sort(([, a], [, b]) => b.length - a.length))
  console.log(`${String(names.length).padStart(4)}  ${license}${names.length < 4 ? `: ${names.join(', ')}` : ''}`)
if (bad.length > 0) {
  console.error(`Not to be used, or not told:\n${bad.join('\n')}`)
  process.exitCode = 1
}
