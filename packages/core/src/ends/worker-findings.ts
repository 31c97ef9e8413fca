import type { Finding, Source } from '@ferrite-migrate/contracts'
import type { RecordTransform } from '../transform/record-transform.js'

/** What keeps shards from being run in processes of their own, said before anything is written. */
export function workerFindings(
  workers: number,
  source: Pick<Source, 'shards' | 'capabilities'>,
  transform: Pick<RecordTransform, 'injective'>,
): Finding[] {
  if (workers === 0) return []
  const { shards, capabilities } = source
  const findings: Finding[] = []
  const refuse = (text: string): void => {
    findings.push({ level: 'fail', code: 'FM_WORKERS_REFUSED', text: `${text}: leave --workers out` })
  }
  if (capabilities.readOnce) refuse('what comes only once, such as standard input, can be read by one process alone')
  if (capabilities.together) refuse('the shards of this source hand keys to each other, which one process must see')
  else if (shards.length > 1 && shards.some(({ owns }) => owns === undefined))
    refuse(
      'the shards of this source do not say which keys are their own, so that only one process can tell what has vanished',
    )
  if (!transform.injective) refuse('the rules may give two keys one name, which only one process can see')
  if (shards.length < workers)
    findings.push({
      level: 'info',
      code: 'workers',
      text: `the source has ${shards.length === 1 ? 'one shard' : `${shards.length} shards`}, so that ${shards.length} of ${workers} workers ${shards.length === 1 ? 'is' : 'are'} started`,
    })
  return findings
}
