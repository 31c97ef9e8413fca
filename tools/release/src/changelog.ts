import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseChangeset, releaseNotes, withRelease } from './changelog/changeset-text.js'
import { setOtherVersions } from './changelog/other-versions.js'
import { must } from './process/run.js'

/** `npm run version`: takes all pending changes into versions and changelogs, those of the packages and that of the whole. */
const ROOT = resolve(import.meta.dirname, '..', '..', '..')
const FOLDER = join(ROOT, '.changeset')
const LOG = join(ROOT, 'CHANGELOG.md')

const names = readdirSync(FOLDER).filter((name) => name.endsWith('.md') && name !== 'README.md')
if (names.length === 0) console.log('Nothing is pending.')
else {
  const changes = names.map((name) => {
    try {
      return parseChangeset(readFileSync(join(FOLDER, name), 'utf8'))
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`)
    }
  })
  await must(join(ROOT, 'node_modules', '.bin', 'changeset'), ['version'], { cwd: ROOT })
  const { version } = JSON.parse(readFileSync(join(ROOT, 'apps', 'ferrite-migrate', 'package.json'), 'utf8')) as {
    version: string
  }
  setOtherVersions(ROOT, version)
  const notes = releaseNotes(version, new Date().toISOString().slice(0, 10), changes)
  writeFileSync(LOG, withRelease(readFileSync(LOG, 'utf8'), notes))
  console.log(`${version}: ${changes.length} changes`)
}
