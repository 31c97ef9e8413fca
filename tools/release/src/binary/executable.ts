import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { inject } from 'postject'
import { must } from '../process/run.js'
import { nodeOf, type Platform } from './platforms.js'
import type { ProgramArchive } from './program-archive.js'

const MAIN = resolve(import.meta.dirname, '..', '..', 'sea', 'main.cjs')
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'

/** Makes an executable of Node and a packed program. @returns its file */
export async function makeExecutable(
  platform: Platform,
  { bytes, digest }: ProgramArchive,
  version: string,
  directory: string,
): Promise<string> {
  const work = join(directory, `work-${platform}`)
  mkdirSync(work, { recursive: true })
  const { program: node, licence } = await nodeOf(platform, directory)
  copyFileSync(licence, join(work, 'LICENSE.node'))
  // Where a binary must be signed, one that is changed when it is unpacked would not run: it comes whole.
  const whole = platform.startsWith('darwin')
  writeFileSync(join(work, 'program.zst'), bytes)
  const main = ['node_modules', 'ferrite-migrate', 'bin', 'run.js']
  writeFileSync(join(work, 'about.json'), JSON.stringify({ version, digest, main, node: whole }))
  if (whole) writeFileSync(join(work, 'node.zst'), zstdCompressSync(readFileSync(node)))
  const assets = Object.fromEntries(
    ['program.zst', 'about.json', 'LICENSE.node', ...(whole ? ['node.zst'] : [])].map((name) => [
      name,
      join(work, name),
    ]),
  )
  const config = {
    main: MAIN,
    output: join(work, 'blob'),
    disableExperimentalSEAWarning: true,
    useSnapshot: false,
    useCodeCache: false,
    assets,
  }
  writeFileSync(join(work, 'sea.json'), JSON.stringify(config))
  await must(process.execPath, ['--experimental-sea-config', join(work, 'sea.json')], { cwd: work })
  const executable = join(directory, `ferrite-migrate-${platform}${platform.startsWith('win') ? '.exe' : ''}`)
  copyFileSync(node, executable)
  chmodSync(executable, 0o755)
  await inject(executable, 'NODE_SEA_BLOB', readFileSync(join(work, 'blob')), {
    sentinelFuse: FUSE,
    ...(whole ? { machoSegmentName: 'NODE_SEA' } : {}),
  })
  return executable
}
