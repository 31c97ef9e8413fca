import { cpSync, existsSync, globSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { must } from '../process/run.js'

const ROOT = resolve(import.meta.dirname, '..', '..', '..', '..')

export interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly [field: string]: unknown
}

/** The workspace in a folder of its own, where it can be versioned and published without a trace here. */
export class WorkspaceCopy {
  readonly directory: string

  private constructor(directory: string) {
    this.directory = directory
  }

  /** What git has and what was built; packages of others are those of here. */
  static async make(directory: string): Promise<WorkspaceCopy> {
    const { told } = await must('git', ['ls-files', '-z', '-co', '--exclude-standard'], { cwd: ROOT })
    const copy = new WorkspaceCopy(directory)
    for (const file of told.split('\0')) if (file !== '' && existsSync(join(ROOT, file))) copy.take(file)
    const built = ['dist', 'bundle', 'vendor', 'schema', 'oclif.manifest.json']
    for (const folder of globSync('{packages,plugins,apps,tools}/*', { cwd: ROOT }))
      for (const name of built) if (existsSync(join(ROOT, folder, name))) copy.take(join(folder, name))
    copy.link('node_modules')
    return copy
  }

  /** Of all packages that are published. */
  manifests(): { readonly folder: string; readonly manifest: Manifest }[] {
    return globSync('{packages,plugins,apps}/*/package.json', { cwd: this.directory })
      .map((file) => ({
        folder: join(this.directory, dirname(file)),
        manifest: JSON.parse(readFileSync(join(this.directory, file), 'utf8')) as Manifest,
      }))
      .filter(({ manifest }) => manifest.private !== true)
  }

  /** Takes every pending changeset into versions and changelogs. */
  async version(): Promise<void> {
    await must('npm', ['run', '--silent', 'version'], { cwd: this.directory })
  }

  /** Publishes what is there, or builds it before, by the script that a release uses. */
  async publish(npmrc: string, how: 'as it is' | 'built'): Promise<void> {
    writeFileSync(join(this.directory, '.npmrc'), npmrc)
    const env = { CI: 'true', NX_TUI: 'false' }
    const [program, ...args] =
      how === 'built'
        ? ['npm', 'run', '--silent', 'release', '--']
        : [join(this.directory, 'node_modules', '.bin', 'changeset'), 'publish']
    await must(program, [...args, '--no-git-tag'], { cwd: this.directory, env, timeoutMs: 300_000 })
  }

  private take(path: string): void {
    cpSync(join(ROOT, path), join(this.directory, path), { recursive: true, verbatimSymlinks: true })
  }

  /** Of others as a link; of this workspace the copies. */
  private link(folder: string): void {
    const ours = new Map(
      globSync('{packages,plugins,apps,tools}/*/package.json', { cwd: this.directory }).map((file) => {
        const { name } = JSON.parse(readFileSync(join(this.directory, file), 'utf8')) as Manifest
        return [join(folder, name), join(this.directory, dirname(file))]
      }),
    )
    const here = (name: string): boolean => name.startsWith('@ferrite-migrate')
    mkdirSync(join(this.directory, folder, '@ferrite-migrate'), { recursive: true })
    for (const name of readdirSync(join(ROOT, folder)))
      if (!here(name) && !ours.has(join(folder, name)))
        symlinkSync(join(ROOT, folder, name), join(this.directory, folder, name))
    for (const [path, target] of ours) symlinkSync(target, join(this.directory, path))
  }
}
