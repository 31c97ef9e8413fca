import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { constants, zstdCompressSync } from 'node:zlib'

/** What nothing reads at run time: types, sources of maps, documents, tests. */
const LEFT_OUT =
  /(\.d\.[cm]?ts|\.map|\.tsbuildinfo|\.flow|\.markdown)$|(^|\/)(\.bin|\.package-lock\.json|CHANGELOG\.md|docs?|tests?|__tests__|examples?|\.github)(\/|$)/
/** A README is no code either; a licence stays with what it licenses. */
const README = /(^|\/)readme(\.\w+)?$/i

/** Takes 20 s, and once. */
const SMALLEST = 19

export interface ProgramArchive {
  /** Compressed. */
  readonly bytes: Buffer
  /** SHA-256 of what is in it, hexadecimal. */
  readonly digest: string
  readonly files: number
  /** Bytes when it is unpacked. */
  readonly unpacked: number
}

/**
 * A folder as one compressed file: the length of a list of names and lengths, that list as JSON, and all contents one after the other.
 * @param level of zstd; lower is faster
 */
export function packProgram(folder: string, level = SMALLEST): ProgramArchive {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .filter((name) => !LEFT_OUT.test(name.replace(/^node_modules\//, '')) && !README.test(name))
    .sort()
  const contents = entries.map((name) => readFileSync(join(folder, name)))
  const list = Buffer.from(JSON.stringify(entries.map((name, i) => [name, contents[i].length])))
  const head = Buffer.alloc(4)
  head.writeUInt32LE(list.length)
  const whole = Buffer.concat([head, list, ...contents])
  return {
    bytes: zstdCompressSync(whole, { params: { [constants.ZSTD_c_compressionLevel]: level } }),
    digest: createHash('sha256').update(whole).digest('hex'),
    files: entries.length,
    unpacked: whole.length,
  }
}
