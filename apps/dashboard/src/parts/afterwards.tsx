import type { Answers, ApiStatus, ReportResult } from '@ferrite-migrate/api'
import { formatCount } from '@ferrite-migrate/core/page'

interface AfterwardsProps {
  readonly status: ApiStatus
  readonly events: Answers['migration.events']['events']
  readonly rollback: NonNullable<ReportResult['report']>['rollback']
}

/** What whoever comes back later has to know of one that is over: who takes writes now, and what a rollback has left. */
export function Afterwards({ status, events, rollback }: AfterwardsProps) {
  const { id, state } = status
  if (state === 'ROLLED_BACK')
    return rollback === null || rollback.kept === 0 ? null : (
      <div class="stale" role="status">
        <p>
          {formatCount(rollback.kept)} keys were left alone: they are not what the source has now, so that somebody has
          written them since, at the target, or at the source, where writers still go there. If they did only there,{' '}
          <code>ferrite-migrate rollback --id {id} --force</code> undoes these too.
        </p>
        <details>
          <summary>Such as</summary>
          {rollback.keptExamples.join(', ')}
        </details>
      </div>
    )
  const done = events.findLast(({ type, text }) => type === 'cutover-done' && !text.startsWith('dry run'))
  if (state !== 'COMPLETED' || done === undefined) return null
  const keeps = events.findLastIndex(({ type }) => type === 'cutover-keep-fence')
  const released = events.findLastIndex(({ type }) => /^(cutover-release|put-back)$/.test(type))
  return (
    <p class="stale" role="status">
      {keeps > released ? (
        <>
          The source is kept from taking writes: <code>ferrite-migrate cutover --release --id {id}</code> lets it again.
        </>
      ) : (
        'Since the cutover nothing carries what is written to the source: see that all writers use the target.'
      )}
    </p>
  )
}
