import type { Reply, RespWriter } from '@ferrite-migrate/protocol'
import { ControlLink } from './control-link.js'
import { lastingPort } from './ports.js'
import { TestServer } from './server.js'
import type { ServerVersion } from './versions.js'

export interface TestNodeOptions {
  readonly version: ServerVersion
  readonly args: readonly string[]
  /** Keep data over a restart: append-only file. */
  readonly persistent: boolean
  /** Of clients and of replicas. */
  readonly password: string | undefined
}

const ATTEMPTS = 5

/** What stands before the host in a connection string. */
export function credentials(password: string | undefined): string {
  return password === undefined ? '' : `:${encodeURIComponent(password)}@`
}

/** One of several servers that belong together, with a connection to it. It keeps its port while it is down. */
export class TestNode {
  readonly server: TestServer
  private readonly link: ControlLink
  private running = true

  protected constructor(server: TestServer, link: ControlLink) {
    this.server = server
    this.link = link
  }

  /** Starts one. @throws Error when the version cannot be had or does not start */
  static async start(options: TestNodeOptions): Promise<TestNode> {
    const { server, link } = await TestNode.launch(options, async () => [])
    return new TestNode(server, link)
  }

  /**
   * Starts a server at a port that lasts, and again at another one when somebody took it.
   * @param more arguments that are different in each attempt
   */
  protected static async launch(
    options: TestNodeOptions,
    more: () => Promise<readonly string[]>,
  ): Promise<{ server: TestServer; link: ControlLink }> {
    const { version, persistent, password } = options
    const auth = password === undefined ? [] : ['--requirepass', password, '--masterauth', password]
    for (let attempt = 1; ; attempt++) {
      const port = await lastingPort()
      const args = [...auth, ...(await more()), ...options.args]
      const link = new ControlLink(`redis://${credentials(password)}127.0.0.1:${port}`)
      let server: TestServer | null = null
      try {
        server = await TestServer.start({ version, persistent, port, args })
        const info = String(await link.call('INFO', 'server'))
        // Somebody else may have been faster at this port, and answer there.
        if (Number(/^process_id:(\d+)/m.exec(info)?.[1]) !== server.pid) throw new Error(`port ${port} was taken`)
        return { server, link }
      } catch (error) {
        link.close()
        await server?.stop()
        if (attempt === ATTEMPTS) throw error
      }
    }
  }

  get port(): number {
    return this.server.port
  }

  /** Connection string of this node alone. */
  get url(): string {
    return this.link.url
  }

  /** False between `kill` and `restart`. */
  get alive(): boolean {
    return this.running
  }

  /** One command to this node, no redirection followed. @throws ReplyError, MigrateError when it is out of reach */
  command(...argv: readonly (Buffer | string | number)[]): Promise<Reply> {
    return this.link.call(...argv)
  }

  /** Commands to this node in one go; errors are values. @throws MigrateError when it is out of reach */
  pipeline(build: (out: RespWriter) => number): Promise<Reply[]> {
    return this.link.pipeline(build)
  }

  /** The fields of a reply in the form of INFO. */
  async facts(...command: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const text = String(await this.command(...command))
    return new Map(
      text.split(/\r?\n/).flatMap((line) => {
        const colon = line.indexOf(':')
        return colon > 0 ? [[line.slice(0, colon), line.slice(colon + 1)] as const] : []
      }),
    )
  }

  /** The first word of ROLE. */
  async role(): Promise<string> {
    return String(((await this.command('ROLE')) as Reply[])[0])
  }

  /** Whether it is a replica that is in step with the primary at this port. */
  async follows(port: number | undefined): Promise<boolean> {
    const facts = await this.facts('INFO', 'replication')
    return facts.get('master_link_status') === 'up' && facts.get('master_port') === String(port)
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.running = false
    this.link.close()
    await this.server.kill()
  }

  /** Starts it again with its arguments, and its data where it is persistent. */
  async restart(): Promise<void> {
    await this.server.launch()
    this.running = true
  }

  async stop(): Promise<void> {
    // Whatever its replicas still wait for is of no use to anybody.
    await this.kill()
    await this.server.stop()
  }
}
