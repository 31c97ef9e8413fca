import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { TestServer, until } from '@ferrite-migrate/servers'
import { type FoundPlugin, Migration, type MigrationConfig, Registry } from '../dist/index.js'

const plugins = resolve(import.meta.dirname, '..', '..', '..', 'plugins')
function plugin(name: string): FoundPlugin {
  const root = join(plugins, name)
  return { name, root, packageJson: JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) }
}

/** Two Redis servers as one source, with the options of one. */
function twoRedis(): FoundPlugin {
  const { ferriteMigrate } = plugin('source-redis').packageJson as {
    ferriteMigrate: { contract: number; adapters: { kind: string; options: unknown[] }[] }
  }
  const [spec] = ferriteMigrate.adapters
  const adapter = { ...spec, name: 'two-redis', schemes: ['two'], module: './index.js' }
  return {
    name: 'two-redis',
    root: join(import.meta.dirname, 'two-redis'),
    packageJson: { ferriteMigrate: { ...ferriteMigrate, adapters: [adapter] } },
  }
}
const registry = new Registry([plugin('source-redis'), plugin('target-ferrite'), twoRedis()])

/** The address of several servers as one source. */
export const sourceOf = (...servers: TestServer[]): string =>
  `two://${servers.map(({ url }) => url.replace('redis://', '')).join(',')}`

/** Two servers that are one source with two shards, a target, and the migrations between them. */
export class TwoServers {
  readonly a: TestServer
  readonly b: TestServer
  readonly target: TestServer
  private readonly links = new Map<TestServer, RedisLink>()
  private readonly running: Migration[] = []
  private readonly directories: string[] = []

  private constructor(a: TestServer, b: TestServer, target: TestServer) {
    this.a = a
    this.b = b
    this.target = target
  }

  static async start(): Promise<TwoServers> {
    const args = ['--repl-backlog-size', '16mb', '--repl-diskless-sync-delay', '0']
    const started = [TestServer.start({ args }), TestServer.start({ args }), TestServer.start({ persistent: true })]
    const [a, b, target] = await Promise.all(started)
    return new TwoServers(a, b, target)
  }

  /** Both as one source, of which nobody can tell whose a key is. */
  get url(): string {
    return sourceOf(this.a, this.b)
  }

  async stop(): Promise<void> {
    for (const one of this.running.splice(0)) one.stop()
    for (const link of this.links.values()) link.close()
    await Promise.all([this.a.stop(), this.b.stop(), this.target.stop()])
    for (const made of this.directories.splice(0)) rmSync(made, { recursive: true, force: true })
  }

  async at(server: TestServer, ...words: (string | number)[]): Promise<unknown> {
    let link = this.links.get(server)
    if (link === undefined) {
      link = await RedisLink.open(parseEndpoint(server.url))
      this.links.set(server, link)
      void link.closed.then(() => this.links.delete(server))
    }
    return link.call(...words)
  }

  /** A power loss, and the same server again. */
  async restart(server: TestServer): Promise<void> {
    await server.kill()
    await server.launch()
  }

  async fill(server: TestServer, tag: string, count: number): Promise<void> {
    for (let from = 0; from < count; from += 500)
      await this.at(server, 'MSET', ...Array.from({ length: 500 }, (_, i) => [`${tag}:${from + i}`, 'v']).flat())
  }

  /** Counts at both servers, in `a:n` and `b:n`, until it is asked to end. */
  counting(): { end(): Promise<void> } {
    let going = true
    const writers = [this.a, this.b].map(async (server, i) => {
      while (going) await this.at(server, 'INCR', `${'ab'[i]}:n`)
    })
    return {
      end: async () => {
        going = false
        await Promise.all(writers)
      },
    }
  }

  /** Until the target has counted as far as both servers have. */
  async isCounted(): Promise<void> {
    for (const [i, server] of [this.a, this.b].entries()) {
      const key = `${'ab'[i]}:n`
      const there = String(await this.at(server, 'GET', key))
      await until(async () => String(await this.at(this.target, 'GET', key)) === there, `${key} to be ${there}`)
    }
  }

  /** Keys of a tag at the target. */
  async count(tag: string): Promise<number> {
    const names = await this.at(this.target, 'KEYS', `${tag}:*`)
    return Array.isArray(names) ? names.length : 0
  }

  /** A directory that is gone when they are. */
  directory(): string {
    const made = mkdtempSync(join(tmpdir(), 'fm-shards-'))
    this.directories.push(made)
    return made
  }

  /** A migration of both, each of which knows its own keys, into the target. */
  migration(config: Partial<MigrationConfig> = {}): Migration {
    const made = new Migration(
      {
        source: `${this.url},owned`,
        target: this.target.url,
        stateDir: this.directory(),
        id: 'm',
        ...config,
      },
      { registry },
    )
    this.running.push(made)
    return made
  }

  isLive(run: Migration): Promise<void> {
    return until(async () => run.status().phase === 'LIVE_SYNC', 'both shards to be live')
  }
}
