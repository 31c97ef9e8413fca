/** What a pending change says to users, and how much it is. */
export interface Changeset {
  readonly bump: 'major' | 'minor' | 'patch'
  readonly text: string
}

/**
 * Reads a file of .changeset: names of packages with their bump between two lines of dashes, and then the text.
 * @throws Error when it is none
 */
export function parseChangeset(file: string): Changeset {
  const parts = /^---\r?\n(.*?)\r?\n---\r?\n(.*)$/s.exec(file)
  const bumps = parts?.[1].match(/: *(major|minor|patch) *$/gm)?.map((line) => line.replace(/^: */, '').trim()) ?? []
  const text = parts?.[2].trim() ?? ''
  if (bumps.length === 0 || text === '') throw new Error('it names no package, or says nothing')
  const bump = bumps.includes('major') ? 'major' : bumps.includes('minor') ? 'minor' : 'patch'
  return { bump, text }
}

const TITLES = [
  ['major', 'Breaking'],
  ['minor', 'New and changed'],
  ['patch', 'Mended'],
] as const

/** The part of the changelog for one release. @param day as YYYY-MM-DD */
export function releaseNotes(version: string, day: string, changes: readonly Changeset[]): string {
  const parts = TITLES.flatMap(([bump, title]) => {
    const texts = changes.filter((one) => one.bump === bump).map(({ text }) => `- ${text.replace(/\n+/g, '\n  ')}`)
    return texts.length === 0 ? [] : [`### ${title}\n\n${texts.join('\n')}`]
  })
  return `## ${version} (${day})\n\n${parts.join('\n\n')}\n`
}

/** Puts a release before those that are there, after what the file begins with. */
export function withRelease(changelog: string, notes: string): string {
  const at = changelog.search(/^## /m)
  const head = at < 0 ? changelog : changelog.slice(0, at)
  const rest = at < 0 ? '' : `\n${changelog.slice(at)}`
  return `${head.trimEnd()}\n\n${notes}${rest}`
}
