import type { Finding } from '@ferrite-migrate/contracts'
import { printAddress } from './address/host-port.js'
import type { Endpoint } from './endpoint.js'

/** Which server it is now that others name; none for an endpoint that always is the same. @throws MigrateError FM_SENTINEL_* */
export async function primaryFinding(end: 'source' | 'target', endpoint: Endpoint): Promise<Finding[]> {
  if (endpoint.moving === undefined) return []
  const at = printAddress(await endpoint.locate())
  return [
    {
      level: 'info',
      code: `${end}-primary`,
      text: `the sentinels name ${at} as the primary of the ${end}; a failover is followed`,
    },
  ]
}
