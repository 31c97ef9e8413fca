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
  const bill = JSON.parse(told) as { components: object[] }
  // The one file and the image have it as well.
  const { node } = process.versions
  bill.components.push({
    ...{ type: 'platform', name: 'node', version: node, purl: `pkg:generic/node@${node}` },
    licenses: [{ license: { id: 'MIT' } }],
  })
  mkdirSync(OUT, { recursive: true })
  writeFileSync(join(OUT, 'sbom.cdx.json'), `${JSON.stringify(bill, null, 2)}\n`)
  console.log(`${join(OUT, 'sbom.cdx.json')}: ${bill.components.length} packages`)
} finally {
  rmSync(directory, { recursive: true, force: true })
}
