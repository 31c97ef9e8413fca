import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/** This project, as it is in its folder. */
export const HERE = resolve(import.meta.dirname, '..', '..', '..', '..')

/** A state of the project that is built, with its program. */
export interface Checkout {
  /** As people see it. */
  readonly name: string
  /** The script of its program. */
  readonly bin: string
  remove(): void
}

function binOf(root: string): string {
  return join(root, 'apps', 'ferrite-migrate', 'bin', 'run.js')
}

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: HERE, encoding: 'utf8' }).trim()
}

/** The folder of this process, as it is now. */
export function here(): Checkout {
  const changed = git('status', '--porcelain').length > 0
  return {
    name: `${git('rev-parse', '--short', 'HEAD')}${changed ? ' and changes' : ''}`,
    bin: binOf(HERE),
    remove() {},
  }
}

/**
 * A revision in a folder of its own, set up and built; a folder that holds a built checkout is taken as it is.
 * @throws Error for what is neither, or cannot be built
 */
export function checkout(revision: string): Checkout {
  if (existsSync(binOf(revision))) return { name: revision, bin: binOf(resolve(revision)), remove() {} }
  const found = spawnSync('git', ['rev-parse', '--verify', '--quiet', `${revision}^{commit}`], {
    cwd: HERE,
    encoding: 'utf8',
  })
  const commit = found.stdout.trim()
  if (commit === '') throw new Error(`${revision} is no revision, and no folder with a built checkout.`)
  const root = join(mkdtempSync(join(tmpdir(), 'fm-compare-')), 'checkout')
  const remove = (): void => {
    spawnSync('git', ['worktree', 'remove', '--force', root], { cwd: HERE })
    rmSync(join(root, '..'), { recursive: true, force: true })
  }
  try {
    git('worktree', 'add', '--detach', '--quiet', root, commit)
    const built = spawnSync(process.execPath, [join('tools', 'bootstrap', 'bootstrap.mjs')], {
      ...{ cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
    })
    if (built.status !== 0) throw new Error(`${revision} cannot be built: ${built.stdout}${built.stderr}`)
    return { name: commit.slice(0, 10), bin: binOf(root), remove }
  } catch (error) {
    remove()
    throw error
  }
}
