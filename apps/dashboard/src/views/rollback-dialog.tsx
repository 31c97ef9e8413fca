import type { Answers, ApiStatus } from '@ferrite-migrate/api'
import { formatCount } from '@ferrite-migrate/core/page'
import { useEffect, useState } from 'preact/hooks'
import type { Connection } from '../client/connection.js'
import { useTask } from '../client/use-task.js'
import { ConfirmField } from '../parts/confirm-field.js'
import { Dialog } from '../parts/dialog.js'
import { type Ends, EndsForm } from '../parts/ends-form.js'
import { Problem } from '../parts/problem.js'
import { hostOf } from '../parts/status-words.js'

interface RollbackProps {
  readonly connection: Connection
  readonly status: ApiStatus
  readonly onClose: () => void
}

/** What would be put back, then the question, then what was. */
export function RollbackDialog({ connection, status, onClose }: RollbackProps) {
  const { id, target } = status
  const [report, setReport] = useState<Answers['migration.rollback'] | null>(null)
  const [confirmed, setConfirmed] = useState(false)
  const [done, setDone] = useState(false)
  const [ends, setEnds] = useState<Ends | undefined>(undefined)
  const { busy, problem, run } = useTask()
  useEffect(() => {
    void run(async () => setReport(await connection.ask('migration.rollback', { id, dryRun: true, config: ends })))
  }, [connection, id, ends])
  const go = (): Promise<void> =>
    run(async () => {
      setReport(await connection.ask('migration.rollback', { id, config: ends }))
      setDone(true)
    })
  return (
    <Dialog title={`Roll back ${id}`} onClose={onClose}>
      <p>
        {done ? 'At' : 'What this migration wrote is taken back at'} <b>{target}</b>
        {done ? ' this was done:' : '; the source is left as it is.'}
      </p>
      {report === null ? (
        problem === null && <p class="none">Looking …</p>
      ) : (
        <dl class="facts-list">
          {(
            [
              [done ? 'Removed' : 'To be removed', report.removed],
              [done ? 'Restored' : 'To be restored', report.restored],
              ['As before already', report.unchanged],
              ['Left alone: not as this migration left them', report.kept],
              ['Failed', report.failed],
            ] as const
          ).map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{formatCount(value)}</dd>
            </div>
          ))}
        </dl>
      )}
      {report !== null && report.kept > 0 && (
        <>
          <p>
            What is left alone is not what the source has now: somebody has written it since, at the target, or at the
            source, where writers still go there. If they did only there,{' '}
            <code>ferrite-migrate rollback --id {id} --force</code> undoes it too.
          </p>
          <details>
            <summary>Such as</summary>
            {report.keptExamples.join(', ')}
          </details>
        </>
      )}
      <Problem of={problem} />
      <EndsForm problem={problem} onGiven={setEnds} />
      {!done && <ConfirmField name={hostOf(target)} onConfirmed={setConfirmed} />}
      <div class="buttons">
        {!done && (
          <button type="button" class="danger" disabled={busy || report === null || !confirmed} onClick={go}>
            {busy && report !== null ? 'Putting back …' : 'Roll back'}
          </button>
        )}
        <button type="button" class="quiet" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  )
}
