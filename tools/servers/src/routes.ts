import { SLOTS } from '@ferrite-migrate/protocol'
import { type NodeLine, parseClusterNodes } from './cluster-nodes.js'
import { ControlLink } from './control-link.js'

/** Where one end of a comparison or a writer is: a connection string, or what tells the one of a server that moves. */
export type End = string | (() => Promise<string>)

/** Which server is to be asked for which slot. */
export interface Routes {
  /** Connection strings of all servers that hold keys. */
  readonly urls: readonly string[]
  /** True when each server holds the keys of its own slots only. */
  readonly bySlot: boolean
  urlOf(slot: number): string
  /** The connection string of a node that a redirection names. */
  urlAt(place: string): string
  /** Looks again. @throws Error when nobody can tell */
  refresh(): Promise<void>
}

/** The routes to a cluster (`redis-cluster://[:password@]host:port,host:port`) or to one server, looked up. */
export async function routesTo(end: End): Promise<Routes> {
  const routes =
    typeof end === 'string' && /^redis[-+]cluster:/.test(end)
      ? new ClusterRoutes(end)
      : new SingleRoute(typeof end === 'string' ? async () => end : end)
  await routes.refresh()
  return routes
}

class SingleRoute implements Routes {
  readonly bySlot = false
  private readonly locate: () => Promise<string>
  private url = ''

  constructor(locate: () => Promise<string>) {
    this.locate = locate
  }

  get urls(): readonly string[] {
    return [this.url]
  }

  urlOf(): string {
    return this.url
  }

  urlAt(place: string): string {
    throw new Error(`a server that is no cluster sent its client to ${place}`)
  }

  async refresh(): Promise<void> {
    this.url = await this.locate()
  }
}

class ClusterRoutes implements Routes {
  readonly bySlot = true
  private readonly owners: string[] = new Array(SLOTS).fill('')
  private readonly prefix: string
  private readonly seeds: readonly string[]

  constructor(url: string) {
    const [, who = '', hosts] = /^[^:]+:\/\/([^@/]*@)?([^/?]+)/.exec(url) ?? []
    if (hosts === undefined) throw new Error(`no connection string of a cluster: ${url}`)
    this.prefix = `redis://${who}`
    this.seeds = hosts.split(',')
  }

  get urls(): readonly string[] {
    return [...new Set(this.owners)].filter((url) => url !== '')
  }

  urlOf(slot: number): string {
    return this.owners[slot]
  }

  urlAt(place: string): string {
    return this.prefix + place
  }

  async refresh(): Promise<void> {
    let reason: unknown
    for (const url of new Set([...this.urls, ...this.seeds.map((place) => this.urlAt(place))])) {
      const link = new ControlLink(url)
      try {
        this.learn(parseClusterNodes(String(await link.call('CLUSTER', 'NODES'))), url)
        return
      } catch (error) {
        reason = error
      } finally {
        link.close()
      }
    }
    throw reason
  }

  private learn(view: readonly NodeLine[], asked: string): void {
    for (const { host, port, slots } of view) {
      // A node that never met another one does not know its own address.
      const url = host === '' ? asked : this.urlAt(`${host}:${port}`)
      for (const { first, last } of slots) this.owners.fill(url, first, last + 1)
    }
  }
}
