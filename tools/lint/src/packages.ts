import { execFileSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

/** Runs publint and attw over every package that is published, and looks what it takes. */
const root = resolve(import.meta.dirname, '..', '..', '..')
const bin = (name: string): string => join(root, 'node_modules', '.bin', name)
let failed = false
/** kB, unpacked, of the package's own files. */
const LIMITS = JSON.parse(readFileSync(join(root, 'tools', 'lint', 'package-sizes.json'), 'utf8')) as Record<
  string,
  number
>

for (const file of globSync('{packages,plugins,apps}/*/package.json', { cwd: root }).sort()) {
  const { name } = JSON.parse(readFileSync(join(root, file), 'utf8')) as { name: string }
  const folder = join(root, dirname(file))
  const packed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: folder,
    stdio: 'pipe',
    encoding: 'utf8',
  })
  const [{ unpackedSize, files }] = JSON.parse(packed) as { unpackedSize: number; files: { path: string }[] }[]
  for (const must of ['LICENSE', 'README.md'])
    if (!files.some(({ path }) => path === must)) {
      console.error(`${name}: there is no ${must} in it`)
      failed = true
    }
  const limit = LIMITS[name] ?? 0
  if (unpackedSize > limit * 1000) {
    console.error(`${name}: ${Math.ceil(unpackedSize / 1000)} kB, and tools/lint/package-sizes.json allows ${limit}`)
    failed = true
  }
  for (const [tool, args] of [
    ['publint', ['--strict', folder]],
    ['attw', ['--pack', folder, '--profile', 'esm-only', '--no-emoji']],
  ] as const) {
    try {
      execFileSync(bin(tool), args, { stdio: 'pipe', encoding: 'utf8' })
      console.log(`${name}: ${tool} clean`)
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string }
      console.error(`${name}: ${tool}\n${stdout}${stderr}`)
      failed = true
    }
  }
}
if (failed) process.exitCode = 1
