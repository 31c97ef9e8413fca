import { counted, type Finding } from '@ferrite-migrate/contracts'
import type { Reply } from '@ferrite-migrate/protocol'
import { keyspaceSizes, parseInfo, type RedisLink } from '@ferrite-migrate/redis'
import type { Abilities } from './abilities.js'

/** What an operator should know of the target before the run. */
export async function targetFindings(link: RedisLink, able: Abilities): Promise<Finding[]> {
  const findings: Finding[] = []
  const [infoReply, policyReply, memoryReply] = await link.pipeline((out) => {
    out.call('INFO')
    out.call('CONFIG', 'GET', 'maxmemory-policy')
    out.call('CONFIG', 'GET', 'maxmemory')
    return 3
  })
  const info = parseInfo(String(infoReply))
  const second = (reply: Reply): string | undefined =>
    Array.isArray(reply) && reply.length > 1 ? String(reply[1]) : undefined
  findings.push({
    level: 'info',
    code: 'target',
    text: `the target is ${able.product}; values are written by ${able.rendering}`,
  })
  if (info.get('role') === 'slave' && info.get('slave_read_only') !== '0')
    findings.push({
      level: 'fail',
      code: 'FM_TARGET_READONLY',
      text: 'the target is a read-only replica: name its primary',
    })
  if (info.get('cluster_enabled') === '1')
    findings.push({
      level: 'fail',
      code: 'FM_TARGET_CLUSTER',
      text: 'the target is a cluster node: clusters as targets are not supported yet',
    })
  const policy = second(policyReply) ?? info.get('maxmemory_policy')
  const limit = Number(second(memoryReply) ?? info.get('maxmemory') ?? 0)
  if (limit > 0 && policy !== undefined && policy !== 'noeviction')
    findings.push({
      level: 'fail',
      code: 'FM_TARGET_EVICTS',
      text: `the target evicts keys when it is full (maxmemory ${limit}, ${policy}): set noeviction there, or give --allow-eviction`,
    })
  else if (limit > 0)
    findings.push({ level: 'info', code: 'target-maxmemory', text: `the target holds at most ${limit} bytes` })
  let keys = 0
  for (const size of keyspaceSizes(info).values()) keys += size
  if (keys > 0)
    findings.push({
      level: 'warn',
      code: 'target-not-empty',
      text: `the target already has ${counted(keys, 'key')}; --on-conflict says what happens to those of the same name`,
    })
  if (!able.fieldExpiry)
    findings.push({
      level: 'info',
      code: 'target-field-ttl',
      text: 'the target has no hash-field expiry: it is left out and reported by key',
    })
  if (!able.hyperLogLog)
    findings.push({
      level: 'info',
      code: 'target-hyperloglog',
      text: 'the target keeps HyperLogLogs in a form of its own: they are copied as strings, on which PFCOUNT fails, and reported by key',
    })
  return findings
}
