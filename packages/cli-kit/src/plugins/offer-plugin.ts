import { spawn } from 'node:child_process'
import type { MissingPluginError } from '@ferrite-migrate/core'
import type { Interfaces } from '@oclif/core'
import { PluginInstaller } from './plugin-installer.js'

/** Exit code of a process that a signal has ended. */
const INTERRUPTED = 130
/** Names the plugin that the process before has installed: who still misses it does not install it again. */
const TRIED = 'FERRITE_MIGRATE_TRIED_PLUGIN'

/**
 * Asks whether a plugin that is needed is to be installed, and installs it; `--yes` means that it is. Where nobody can be asked
 * nothing is installed: a step of CI gets what it names and nothing else.
 * @returns whether it is there now
 */
export async function offerPlugin(
  { plugin, message }: MissingPluginError,
  { dataDir, version }: Pick<Interfaces.Config, 'dataDir' | 'version'>,
  argv: readonly string[],
): Promise<boolean> {
  if (process.env[TRIED] === plugin.name) return false
  const agreed = argv.includes('--yes') || argv.includes('-y')
  const asked = process.stdin.isTTY === true && process.stderr.isTTY === true && process.env.CI === undefined
  if (!agreed && !asked) return false
  const { name, megabytes } = plugin
  if (!agreed) {
    const what = message.slice(0, message.indexOf(' needs the plugin'))
    const { default: confirm } = await import('@inquirer/confirm')
    const answer = await confirm(
      { message: `${what} needs ${name}, about ${megabytes} MB: install it?`, default: true },
      { output: process.stderr },
    ).catch(() => false)
    if (!answer) return false
  }
  process.stderr.write(`Installing ${name} …\n`)
  await new PluginInstaller(dataDir).install(`${name}@^${version}`)
  process.env[TRIED] = name
  return true
}

/** The same command line in a process of its own, which finds what was installed since; gives its exit code. */
export function runAgain(): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], { stdio: 'inherit' })
  return new Promise((done) => {
    child.once('error', () => done(1))
    child.once('close', (code) => done(code ?? INTERRUPTED))
  })
}
