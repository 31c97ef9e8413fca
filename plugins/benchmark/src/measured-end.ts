import {
  ClusterTopology,
  type Endpoint,
  type EndpointOptions,
  isClusterNode,
  isClusterUrl,
  NodeMap,
  parseCluster,
  parseEndpoint,
  slotTag,
} from '@ferrite-migrate/redis'

/** A server that is measured. */
export interface MeasuredServer {
  readonly endpoint: Endpoint
  /** Hash tags of its slots, which its keys have; null = it takes every key. */
  readonly tags: readonly string[] | null
}

/** One end of a comparison: a server, or the primaries of a cluster. Close it. */
export interface MeasuredEnd {
  readonly servers: readonly MeasuredServer[]
  close(): void
}

/** The name of a key, of which a server has `count`. */
export function keyName({ tags }: MeasuredServer, prefix: string, n: number, count: number): string {
  const which = n % count
  return tags === null ? `${prefix}${which}` : `${prefix}{${tags[which % tags.length]}}${which}`
}

/**
 * @param option as which its options were given: `--source-option` or `--target-option`
 * @throws MigrateError FM_URL_INVALID, FM_OPTION_VALUE, FM_CONNECT_*, FM_AUTH_*, FM_CLUSTER_*
 */
export async function openMeasuredEnd(
  url: string,
  options: EndpointOptions,
  option: string,
  signal?: AbortSignal,
): Promise<MeasuredEnd> {
  const asked = { option, ...(signal === undefined ? {} : { signal }) }
  if (isClusterUrl(url)) return clusterEnd(await ClusterTopology.open({ ...parseCluster(url, options), ...asked }))
  const endpoint = parseEndpoint(url, options)
  if (options.cluster !== 'node' && (await isClusterNode(endpoint, signal).catch(closing(endpoint)))) {
    const nodeMap = new NodeMap(String(options['node-map'] ?? ''))
    endpoint.moving?.close()
    const seeds = [{ host: endpoint.host, port: endpoint.port }]
    return clusterEnd(await ClusterTopology.open({ endpoint, seeds, nodeMap, ...asked }))
  }
  return { servers: [{ endpoint, tags: null }], close: () => endpoint.moving?.close() }
}

function closing(endpoint: Endpoint) {
  return (error: unknown): never => {
    endpoint.moving?.close()
    throw error
  }
}

function clusterEnd(topology: ClusterTopology): MeasuredEnd {
  const servers = topology.view.shards
    .filter(({ primary }) => primary.slots.length > 0)
    .map(({ name, primary }) => {
      const tags: string[] = []
      for (const [first, last] of primary.slots) for (let slot = first; slot <= last; slot++) tags.push(slotTag(slot))
      return { endpoint: topology.primaryOf(name), tags }
    })
  return { servers, close: () => topology.close() }
}
