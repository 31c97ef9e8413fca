import { type AdapterContext, MigrateError, type Target } from '@ferrite-migrate/contracts'
import {
  type ClusterAddress,
  isClusterNode,
  isClusterUrl,
  NodeMap,
  parseCluster,
  parseEndpoint,
} from '@ferrite-migrate/redis'
import { FerriteTarget } from '../ferrite-target.js'

/**
 * A server is what it says: a node of a cluster stands for the cluster, whatever the scheme.
 * @throws MigrateError when it cannot be reached or refuses the probes
 */
export async function openTarget(context: AdapterContext): Promise<Target> {
  const { url, options } = context
  if (isClusterUrl(url)) return openCluster(context, parseCluster(url, options))
  const endpoint = parseEndpoint(url, options)
  const ofCluster = await isClusterNode(endpoint, context.signal).finally(() => endpoint.moving?.close())
  if (!ofCluster) return FerriteTarget.open(context)
  if (endpoint.db !== 0)
    throw new MigrateError(
      'FM_DB_RANGE',
      `${endpoint.label} is a node of a cluster, which has database 0 only`,
      `Leave /${endpoint.db} out of the address; databases of the source are put together with --db-map.`,
    )
  const nodeMap = new NodeMap(String(options['node-map'] ?? ''))
  return openCluster(context, { endpoint, seeds: [{ host: endpoint.host, port: endpoint.port }], nodeMap })
}

/** What only clusters need is loaded for them alone. */
async function openCluster(context: AdapterContext, address: ClusterAddress): Promise<Target> {
  const { ClusterTarget } = await import('./cluster-target.js')
  return ClusterTarget.open(context, address)
}
