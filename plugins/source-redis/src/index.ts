import type { AdapterContext, CreateSource, Source } from '@ferrite-migrate/contracts'
import {
  type ClusterAddress,
  ClusterTopology,
  isClusterUrl,
  NodeMap,
  parseCluster,
  parseEndpoint,
} from '@ferrite-migrate/redis'
import { RedisSource } from './redis-source.js'

/**
 * A live Redis, Valkey or Ferrite server: `redis://`, `rediss://`, `redis+unix://`, `ferrite://`, `ferrites://`; or a cluster of
 * them: `redis-cluster://`, `redis+cluster://`, or any of its nodes, unless the option `cluster` says `node`.
 */
export const createSource: CreateSource = async (context) => {
  if (isClusterUrl(context.url)) return openCluster(context, parseCluster(context.url, context.options))
  const source = await RedisSource.open(context)
  if (!source.isClusterNode || context.options.cluster === 'node') return source
  await source[Symbol.asyncDispose]()
  const endpoint = parseEndpoint(context.url, context.options)
  const nodeMap = new NodeMap(String(context.options['node-map'] ?? ''))
  return openCluster(context, { endpoint, seeds: [{ host: endpoint.host, port: endpoint.port }], nodeMap })
}

/** What only clusters need is loaded for them alone. */
async function openCluster(context: AdapterContext, address: ClusterAddress): Promise<Source> {
  const { ClusterSource } = await import('./cluster/cluster-source.js')
  const again = (capture: string): Promise<Source> =>
    openCluster({ ...context, options: { ...context.options, capture } }, address)
  return ClusterSource.open(
    context,
    await ClusterTopology.open({
      ...{ ...address, option: '--source-option', signal: context.signal },
      ...(context.shards === undefined ? {} : { near: context.shards }),
    }),
    again,
  )
}
