import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { installProgram } from './process/install-program.js'
import { must } from './process/run.js'

/** `npm run sbom`: what is in an installation of the whole program, as CycloneDX, in release/sbom.cdx.json. */
const OUT = resolve(import.meta.dirname, '..', '..', '..', 'release')
const directory = mkdtempSync(join(tmpdir(), 'fm-sbom-'))
try {
  const folder = join(directory, 'program')
  await installProgram(folder)
  const flags = ['--omit=dev', '--sbom-format=cyclonedx', '--sbom-type=application']
  const { told } = await must('npm', ['sbom', ...flags], { cwd: folder })
  const { components } = JSON.parse(told) as { components: readonly object[] }
  mkdirSync(OUT, { recursive: true })
  writeFileSync(join(OUT, 'sbom.cdx.json'), told)
  console.log(`${join(OUT, 'sbom.cdx.json')}: ${components.length} packages`)
} finally {
  rmSync(directory, { recursive: true, force: true })
}
