import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { ControlLink, keyspaceDifferences, TestServer } from '@ferrite-migrate/servers'
import type { PackageManager, Project } from './package-managers.js'

const LIVE_MS = 30_000

/**
 * A live migration is killed under one version, and goes on under the next; a state that a later version wrote is refused in a line.
 * @throws Error what was wrong
 */
export async function upgradeTrial(
  manager: PackageManager,
  directory: string,
  from: string,
  to: string,
): Promise<void> {
  const [source, target] = [await TestServer.start(), await TestServer.start()]
  const link = new ControlLink(source.url)
  try {
    for (let i = 0; i < 500; i++) await link.call('SET', `before:${i}`, i)
    await link.call('SET', 'count', '1')
    const old = await manager.install(directory, [`ferrite-migrate@${from}`])
    await says(old, ['--version'], 0, `ferrite-migrate/${from} `)
    await killedWhileLive(old, source, target)
    for (let i = 0; i < 500; i++) await link.call('SET', `meanwhile:${i}`, i)
    await link.call('INCR', 'count')
    const now = await manager.install(directory, [`ferrite-migrate@${to}`])
    await says(now, ['--version'], 0, `ferrite-migrate/${to} `)
    await says(now, ['status', '--id', 'half'], 0, 'INTERRUPTED')
    await says(now, ['migrate', '--resume', 'half', '--exit', '--verify'], 0, 'VERIFIED')
    const [different] = await keyspaceDifferences(source.url, target.url)
    if (different !== undefined) throw new Error(`after the upgrade ${different.key}: ${different.what}`)
    const state = new DatabaseSync(join(directory, 'state', 'state.db'))
    state.exec('PRAGMA user_version = 9999')
    state.close()
    await says(now, ['list'], 2, 'a newer version of ferrite-migrate wrote it')
  } finally {
    link.close()
    await Promise.all([source.stop(), target.stop()])
  }
}

async function says(project: Project, args: readonly string[], code: number, text: string): Promise<void> {
  const ran = await project.program(args)
  if (ran.code !== code || !ran.output.includes(text))
    throw new Error(
      `ferrite-migrate ${args.join(' ')} ended with ${ran.code}, without "${text}":\n${ran.output.slice(-2000)}`,
    )
}

async function killedWhileLive(project: Project, source: TestServer, target: TestServer): Promise<void> {
  const program = join(project.directory, 'node_modules', '.bin', 'ferrite-migrate')
  const args = ['migrate', '--id', 'half', '-s', source.url, '-t', target.url, '-m', 'live']
  const env = { ...process.env, CI: 'true', FERRITE_MIGRATE_STATE_DIR: join(project.directory, 'state') }
  const child = spawn(program, args, { cwd: project.directory, stdio: 'ignore', env })
  const gone = once(child, 'exit')
  const link = new ControlLink(target.url)
  try {
    const deadline = Date.now() + LIVE_MS
    while (Number(await link.call('EXISTS', 'count')) === 0 && child.exitCode === null && Date.now() < deadline)
      await sleep(50)
    if (child.exitCode !== null || Date.now() >= deadline)
      throw new Error('the migration to be killed did not come to live')
  } finally {
    child.kill('SIGKILL')
    await gone
    link.close()
  }
}
