import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const FOLDER = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//

/** Writes the licences of all packages that are in the chunks of a bundle, where others' code is given on. */
export function writeLicences(chunks, file) {
  const modules = chunks.flatMap((chunk) => Object.keys(chunk.modules ?? {}))
  const folders = new Set(modules.map((id) => FOLDER.exec(id)?.[1]).filter((folder) => folder !== undefined))
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    const found = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one))
    return `${name} ${version} (${license})\n\n${found === undefined ? '' : readFileSync(join(folder, found), 'utf8')}`
  })
  writeFileSync(file, texts.join('\n\n'))
}
