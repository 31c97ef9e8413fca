import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { makeExecutable } from './binary/executable.js'
import { PLATFORMS, type Platform, platformHere } from './binary/platforms.js'
import { packProgram } from './binary/program-archive.js'
import { installProgram } from './process/install-program.js'

/**
 * `npm run release:binary [-- PLATFORM ...]`: the program as one file for each platform (this one unless others are named, `all` for all), as it is
 * and compressed for the download, with their SHA-256 in SHA256SUMS.
 */
const OUT = resolve(import.meta.dirname, '..', '..', '..', 'release')

const wanted = process.argv.slice(2)
const named = wanted.includes('all') ? [...PLATFORMS] : wanted.length === 0 ? [platformHere()] : wanted
const platforms = named.filter((name): name is Platform => PLATFORMS.some((one) => one === name))
const megabytes = (bytes: number): string => `${(bytes / 1_000_000).toFixed(0)} MB`

if (platforms.length < named.length) {
  console.error(`Among ${PLATFORMS.join(', ')} are not all of: ${named.join(', ')}`)
  process.exitCode = 2
} else {
  const directory = mkdtempSync(join(tmpdir(), 'fm-binary-'))
  try {
    await installProgram(join(directory, 'program'))
    const { version } = JSON.parse(
      readFileSync(join(directory, 'program', 'node_modules', 'ferrite-migrate', 'package.json'), 'utf8'),
    ) as { version: string }
    const archive = packProgram(join(directory, 'program'))
    console.log(
      `Program: ${archive.files} files, ${megabytes(archive.unpacked)}, packed ${megabytes(archive.bytes.length)}`,
    )
    mkdirSync(OUT, { recursive: true })
    for (const platform of platforms) {
      const made = await makeExecutable(platform, archive, version, directory).catch((error: Error) => {
        console.error(`${platform}: ${error.message}`)
        process.exitCode = 1
        return null
      })
      if (made === null) continue
      const file = join(OUT, basename(made))
      renameSync(made, file)
      const packed = gzipSync(readFileSync(file), { level: 9 })
      writeFileSync(`${file}.gz`, packed)
      console.log(`${file}: ${megabytes(statSync(file).size)}, compressed ${megabytes(packed.length)}`)
    }
    // Of those that were made before as well: a release has one list.
    const sums = readdirSync(OUT)
      .filter((name) => name.startsWith('ferrite-migrate-'))
      .map(
        (name) =>
          `${createHash('sha256')
            .update(readFileSync(join(OUT, name)))
            .digest('hex')}  ${name}\n`,
      )
    writeFileSync(join(OUT, 'SHA256SUMS'), sums.join(''))
    console.log(`Checksums: ${join(OUT, 'SHA256SUMS')}`)
  } catch (error) {
    console.error((error as Error).message)
    process.exitCode = 1
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
