import { existsSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { must, run } from '../process/run.js'

const ROOT = resolve(import.meta.dirname, '..', '..', '..', '..')

/** Where an executable is made for, by the name that Node and npm have for it. */
export const PLATFORMS = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64', 'win-x64'] as const
export type Platform = (typeof PLATFORMS)[number]

export function platformHere(): string {
  return `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
}

/** The Node of a platform, of the version that runs this: that of the workspace, or from its package of npm. */
export async function nodeOf(platform: Platform, directory: string): Promise<string> {
  if (platform === platformHere()) return resolve(ROOT, 'node_modules', 'node', 'bin', 'node')
  const folder = join(directory, `node-${platform}`)
  mkdirSync(folder, { recursive: true })
  const wanted = `node-${platform}@${process.versions.node}`
  const { code } = await run('npm', ['pack', '--silent', '--pack-destination', folder, wanted], { cwd: folder })
  if (code !== 0) throw new Error(`npm has no ${wanted}: make the executable on a machine of that kind`)
  await must('tar', ['-xzf', `node-${platform}-${process.versions.node}.tgz`], { cwd: folder })
  const file = join(folder, 'package', 'bin', platform.startsWith('win') ? 'node.exe' : 'node')
  if (!existsSync(file)) throw new Error(`node-${platform} has no ${file}`)
  return file
}
