import type { Finding, Source } from '@ferrite-migrate/contracts'
import type { RecordTransform } from '../transform/record-transform.js'

/**
 * What keeps shards from being run in processes of their own, said before anything is written.
 * @param queued they are run by whoever takes them from a queue
 */
export function workerFindings(
  workers: number,
  source: Pick<Source, 'shards' | 'capabilities' | 'apart'>,
  transform: Pick<RecordTransform, 'injective'>,
  queued: boolean,
): Finding[] {
  if (workers === 0 && !queued) return []
  const flag = queued ? '--queue' : '--workers'
  const { shards, capabilities, apart } = source
  const findings: Finding[] = []
  const refuse = (text: string): void => {
    findings.push({ level: 'fail', code: 'FM_WORKERS_REFUSED', text: `${text}: leave ${flag} out` })
  }
  if (capabilities.readOnce) refuse('what comes only once, such as standard input, can be read by one process alone')
  if (queued && workers > 0)
    findings.push({
      level: 'fail',
      code: 'FM_WORKERS_REFUSED',
      text: 'the workers of a queue are started on their own machines (ferrite-migrate worker): leave --workers out',
    })
  // Of a queue, whoever reads a shard apart says by itself when that is no longer possible.
  const readApart = queued && apart !== undefined
  if (capabilities.together && !readApart)
    refuse('the shards of this source hand keys to each other, which one process must see')
  else if (!capabilities.together && shards.length > 1 && shards.some(({ owns }) => owns === undefined))
    refuse(
      'the shards of this source do not say which keys are their own, so that only one process can tell what has vanished',
    )
  if (!transform.injective) refuse('the rules may give two keys one name, which only one process can see')
  if (!queued && shards.length < workers)
    findings.push({
      level: 'info',
      code: 'workers',
      text: `the source has ${shards.length === 1 ? 'one shard' : `${shards.length} shards`}, so that ${shards.length} of ${workers} workers ${shards.length === 1 ? 'is' : 'are'} started`,
    })
  return findings
}
