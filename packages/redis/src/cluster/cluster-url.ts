import { type Address, MigrateError } from '@ferrite-migrate/contracts'
import { printAddress, readAddress } from '../address/host-port.js'
import { NodeMap } from '../address/node-map.js'
import { type Endpoint, parseEndpoint } from '../endpoint.js'
import { type EndpointOptions, textOption } from '../endpoint-options.js'

/** Schemes of clusters, and what their nodes speak. */
const SCHEME = /^(redis|rediss|valkey|valkeys|ferrite|ferrites)[+-]cluster:\/\//i
const FORMS =
  'Write redis-cluster://[user:password@]host1:port1,host2:port2 (or redis+cluster://, rediss+cluster:// for TLS), IPv6 in brackets.'

/** A cluster as a connection string names it. */
export interface ClusterAddress {
  /** How its nodes are spoken to; host and port are those of the first seed. */
  readonly endpoint: Endpoint
  /** Nodes that are asked first. */
  readonly seeds: readonly Address[]
  readonly nodeMap: NodeMap
}

/** Whether a connection string names a cluster. */
export function isClusterUrl(url: string): boolean {
  return SCHEME.test(url)
}

function parseSeed(text: string): Address {
  const seed = readAddress(text, 6379)
  if (seed === null)
    throw new MigrateError('FM_URL_INVALID', 'a node of the cluster in the connection string is not host:port', FORMS)
  return seed
}

/**
 * Reads a connection string of a cluster, with the options of an endpoint and `node-map`.
 * @throws MigrateError FM_URL_INVALID, FM_OPTION_VALUE, and what parseEndpoint throws
 */
export function parseCluster(url: string, options: EndpointOptions = {}): ClusterAddress {
  const match = /^([a-z+-]+):\/\/(?:([^/?#]*)@)?([^/?#@]*)(\/[^?#]*)?(\?.*)?$/is.exec(url)
  const scheme = SCHEME.exec(url)
  if (match === null || scheme === null)
    throw new MigrateError('FM_URL_INVALID', 'the connection string names no cluster', FORMS)
  const [, written, who, hosts, path = '', query = ''] = match
  if (path !== '' && path !== '/' && path !== '/0')
    throw new MigrateError('FM_URL_INVALID', 'a cluster has database 0 only', 'Leave out what stands behind the nodes.')
  const seeds = hosts.split(',').map(parseSeed)
  const single = `${scheme[1]}://${who === undefined ? '' : `${who}@`}${printAddress(seeds[0])}${query}`
  const endpoint = parseEndpoint(single, options)
  return {
    endpoint: { ...endpoint, db: 0, label: `${written.toLowerCase()}://${seeds.map(printAddress).join(',')}` },
    seeds,
    nodeMap: new NodeMap(textOption(options, 'node-map')),
  }
}
