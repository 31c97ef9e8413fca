import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Reply, ReplyError } from '@ferrite-migrate/protocol'
import { ControlLink } from './control-link.js'
import { ServerProcess } from './server-process.js'
import { credentials } from './test-node.js'

/** What a sentinel looks after. */
export interface Watched {
  readonly name: string
  readonly primary: number
  readonly replica: number
  readonly password: string | undefined
  /** Votes that it takes to replace the primary. */
  readonly quorum: number
}

/** Where a sentinel is and how the others know it. */
export interface SentinelPlace {
  readonly port: number
  /** 40 hexadecimal digits. */
  readonly id: string
}

const DOWN_AFTER_MS = 1000
const FAILOVER_MS = 6000
/** How often it asks servers and other sentinels, ms; by itself up to 10 s. */
const HURRY = ['INFO-PERIOD', 'PING-PERIOD', 'ASK-PERIOD', 'PUBLISH-PERIOD'].flatMap((name) => [name, '200'])

/** A Sentinel on loopback. Stop it: nothing else ends it. */
export class Sentinel {
  readonly port: number
  private readonly directory: string
  private readonly process: ServerProcess
  private readonly link: ControlLink
  private running = false

  /** @param others told to it from the beginning, which spares the seconds until they find each other */
  constructor(
    program: string,
    place: SentinelPlace,
    others: readonly SentinelPlace[],
    watched: Watched,
    password: string | undefined,
  ) {
    this.port = place.port
    this.directory = mkdtempSync(join(tmpdir(), 'fm-sentinel-'))
    this.process = new ServerProcess(program, place.port)
    this.link = new ControlLink(`redis://${credentials(password)}127.0.0.1:${place.port}`)
    const { name } = watched
    const lines = [
      `port ${place.port}`,
      'bind 127.0.0.1',
      `dir ${this.directory}`,
      ...(password === undefined ? [] : [`requirepass ${password}`, `sentinel sentinel-pass ${password}`]),
      `sentinel myid ${place.id}`,
      `sentinel monitor ${name} 127.0.0.1 ${watched.primary} ${watched.quorum}`,
      `sentinel down-after-milliseconds ${name} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${name} ${FAILOVER_MS}`,
      ...(watched.password === undefined ? [] : [`sentinel auth-pass ${name} ${watched.password}`]),
      `sentinel known-replica ${name} 127.0.0.1 ${watched.replica}`,
      ...others.map(({ port, id }) => `sentinel known-sentinel ${name} 127.0.0.1 ${port} ${id}`),
    ]
    writeFileSync(this.file, `${lines.join('\n')}\n`)
  }

  private get file(): string {
    return join(this.directory, 'sentinel.conf')
  }

  /** Connection string of this sentinel. */
  get url(): string {
    return this.link.url
  }

  get alive(): boolean {
    return this.running
  }

  /** Starts it (again); it goes on with what it knew. */
  async launch(): Promise<void> {
    await this.process.launch([this.file, '--sentinel'])
    this.running = true
    // Sentinels before 7.0 cannot be hurried.
    await this.command('SENTINEL', 'DEBUG', ...HURRY).catch((error: unknown) => {
      if (!(error instanceof ReplyError)) throw error
    })
  }

  /** One command to this sentinel. @throws ReplyError, MigrateError when it is out of reach */
  command(...argv: readonly (Buffer | string | number)[]): Promise<Reply> {
    return this.link.call(...argv)
  }

  /** The port of the primary, as this sentinel says; null = it does not know the name. */
  async primaryPort(name: string): Promise<number | null> {
    const address = (await this.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name)) as Reply[] | null
    return address === null ? null : Number(String(address[1]))
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.running = false
    this.link.close()
    await this.process.end('SIGKILL')
  }

  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.directory, { recursive: true, force: true })
  }
}
