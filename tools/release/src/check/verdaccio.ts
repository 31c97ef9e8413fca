import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '@ferrite-migrate/servers'
import { must } from '../process/run.js'

const START_MS = 30_000

/** A registry on loopback that has what is published to it; what it has not it takes from the one that npm uses. */
export class Verdaccio {
  readonly url: string
  private readonly child: ChildProcess

  private constructor(url: string, child: ChildProcess) {
    this.url = url
    this.child = child
  }

  /**
   * @param packages where it is installed
   * @param directory of its own
   */
  static async start(packages: string, directory: string): Promise<Verdaccio> {
    mkdirSync(directory, { recursive: true })
    const { told } = await must('npm', ['config', 'get', 'registry'], { cwd: directory })
    const ours = ['@ferrite-migrate/*', 'ferrite-migrate', 'create-ferrite-migrate-plugin']
    const open = { access: '$all', publish: '$all' }
    const config = {
      storage: join(directory, 'storage'),
      auth: { htpasswd: { file: join(directory, 'htpasswd') } },
      uplinks: { others: { url: told.trim(), max_fails: 10 } },
      packages: { ...Object.fromEntries(ours.map((name) => [name, open])), '**': { ...open, proxy: 'others' } },
      max_body_size: '100mb',
      log: { type: 'stdout', format: 'json', level: 'warn' },
    }
    const file = join(directory, 'config.yaml')
    // JSON is YAML.
    writeFileSync(file, JSON.stringify(config))
    const port = await freePort()
    const log = openSync(join(directory, 'log'), 'w')
    const program = join(packages, 'verdaccio', 'bin', 'verdaccio')
    const child = spawn(process.execPath, [program, '-c', file, '-l', `127.0.0.1:${port}`], {
      stdio: ['ignore', log, log],
    })
    const registry = new Verdaccio(`http://127.0.0.1:${port}/`, child)
    const deadline = Date.now() + START_MS
    while (!(await registry.answers())) {
      if (child.exitCode !== null || Date.now() > deadline)
        throw new Error(`the registry did not start:\n${readFileSync(join(directory, 'log'), 'utf8').slice(-2000)}`)
      await sleep(100)
    }
    return registry
  }

  /** What npm and its relatives read; whoever publishes has to say who it is, and nobody looks. */
  get npmrc(): string {
    return `registry=${this.url}\n${this.url.slice('http:'.length)}:_authToken=anybody\n`
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return
    this.child.kill('SIGTERM')
    await once(this.child, 'exit')
  }

  private answers(): Promise<boolean> {
    return fetch(`${this.url}-/ping`).then(
      ({ ok }) => ok,
      () => false,
    )
  }
}
