import { resolve } from 'node:path'
import { installProgram } from './process/install-program.js'

/** `node tools/release/dist/release-stage.js FOLDER`: the whole program in a folder, as npm would install it, for an image. */
const [folder] = process.argv.slice(2)
if (folder === undefined) {
  console.error('Which folder?')
  process.exitCode = 2
} else await installProgram(resolve(folder))
