import { type NodeLine, parseClusterNodes } from './cluster-nodes.js'
import type { ControlLink } from './control-link.js'
import { lastingPort } from './ports.js'
import type { TestServer } from './server.js'
import { TestNode, type TestNodeOptions } from './test-node.js'

export interface ClusterNodeOptions extends TestNodeOptions {
  /** cluster-node-timeout, ms. */
  readonly nodeTimeoutMs: number
}

/** A server that is a node of a cluster. */
export class ClusterNode extends TestNode {
  /** Port of the cluster bus. */
  readonly busPort: number
  /** What CLUSTER MYID says, the same over restarts. */
  readonly id: string

  private constructor(server: TestServer, link: ControlLink, busPort: number, id: string) {
    super(server, link)
    this.busPort = busPort
    this.id = id
  }

  /** Starts a node that knows no other. @throws Error when the version cannot be had or does not start */
  static override async start(options: ClusterNodeOptions): Promise<ClusterNode> {
    let busPort = 0
    const { server, link } = await TestNode.launch(options, async () => {
      busPort = await lastingPort()
      return [
        ...['--cluster-enabled', 'yes', '--cluster-port', String(busPort)],
        ...['--cluster-node-timeout', String(options.nodeTimeoutMs)],
      ]
    })
    return new ClusterNode(server, link, busPort, String(await link.call('CLUSTER', 'MYID')))
  }

  /** The cluster as this node sees it. */
  async view(): Promise<NodeLine[]> {
    return parseClusterNodes(String(await this.command('CLUSTER', 'NODES')))
  }
}
