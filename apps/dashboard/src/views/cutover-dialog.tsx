import type { Answers, ApiStatus } from '@ferrite-migrate/api'
import { formatDuration } from '@ferrite-migrate/core/page'
import { useEffect, useState } from 'preact/hooks'
import type { Connection } from '../client/connection.js'
import { useTask } from '../client/use-task.js'
import { ConfirmField } from '../parts/confirm-field.js'
import { Dialog } from '../parts/dialog.js'
import { Problem } from '../parts/problem.js'
import { hostOf } from '../parts/status-words.js'

interface CutoverProps {
  readonly connection: Connection
  readonly status: ApiStatus
  readonly onClose: () => void
}

type Cutover = Answers['migration.cutover']
type Step = Cutover['steps'][number]

function Steps({ steps }: { steps: readonly Step[] }) {
  return (
    <ol class="steps" aria-live="polite">
      {steps.map(({ at, name, text }) => (
        <li key={`${at}${name}`}>
          <b>{name}</b> {text}
        </li>
      ))}
    </ol>
  )
}

/** First what a cutover would meet, then the question, then its steps as they happen. */
export function CutoverDialog({ connection, status, onClose }: CutoverProps) {
  const { id, target } = status
  const [checks, setChecks] = useState<Cutover | null>(null)
  const [steps, setSteps] = useState<readonly Step[]>([])
  const [result, setResult] = useState<Cutover | null>(null)
  const [confirmed, setConfirmed] = useState(false)
  const look = useTask()
  const cutover = useTask()
  const name = hostOf(target)
  const [keep, setKeep] = useState(false)
  // Which fence there is depends upon whether it has to stay.
  useEffect(() => {
    setChecks(null)
    void look.run(async () => {
      const options = keep ? { afterCutover: 'keep-fence' as const } : {}
      setChecks(await connection.ask('migration.cutover', { id, dryRun: true, ...options }))
    })
  }, [connection, id, keep])
  const go = (event: SubmitEvent): void => {
    event.preventDefault()
    const fields = new FormData(event.currentTarget as HTMLFormElement)
    const webhook = String(fields.get('webhook')).trim()
    const options = {
      ...{ id, verify: fields.get('verify') === 'on' },
      ...(fields.get('keep') === 'on' ? { afterCutover: 'keep-fence' as const } : {}),
      ...(webhook === '' ? {} : { webhook }),
    }
    setSteps([])
    const release = connection.listen({
      step: (notice) => notice.id === id && setSteps((former) => [...former, notice.step]),
    })
    void cutover.run(async () => setResult(await connection.ask('migration.cutover', options))).finally(release)
  }
  const callOff = useTask()
  return (
    <Dialog title={`Cut over to ${name}`} onClose={onClose}>
      {result !== null ? (
        <>
          <p>
            <span class="tag good">done</span>{' '}
            {result.downtimeMs === null
              ? 'Writers were not kept out.'
              : `Writers waited ${formatDuration(result.downtimeMs)}.`}
          </p>
          <Steps steps={result.steps} />
          <p>
            {result.steps.some((step) => step.name === 'keep-fence')
              ? `The source is kept from taking writes: ferrite-migrate cutover --release --id ${id} lets it again.`
              : 'The source takes writes again, and nothing carries them to the target any more: see that all writers use the target now.'}
          </p>
          <button type="button" onClick={onClose}>
            Close
          </button>
        </>
      ) : (
        <form onSubmit={go}>
          <h3>Checks</h3>
          {checks === null ? <p class="none">Looking …</p> : <Steps steps={checks.steps} />}
          {steps.length > 0 && (
            <>
              <h3>Steps</h3>
              <Steps steps={steps} />
            </>
          )}
          <Problem of={look.problem ?? cutover.problem ?? callOff.problem} />
          <p>
            Writers of the source are kept out for a moment; from then on <b>{name}</b> is the one to write to.
          </p>
          <label class="check">
            <input name="verify" type="checkbox" defaultChecked /> compare both ends first
          </label>
          <label class="check">
            <input
              name="keep"
              type="checkbox"
              checked={keep}
              onChange={({ currentTarget }) => setKeep(currentTarget.checked)}
            />{' '}
            keep the source from taking writes afterwards
          </label>
          <label>
            Webhook that moves the traffic behind the fence (may be left out){' '}
            <input name="webhook" type="url" autocomplete="off" />
          </label>
          <ConfirmField name={name} onConfirmed={setConfirmed} />
          <div class="buttons">
            <button type="submit" class="danger" disabled={cutover.busy || checks === null || !confirmed}>
              {cutover.busy ? 'Cutting over …' : 'Cut over'}
            </button>
            {cutover.busy && (
              <button
                type="button"
                class="quiet"
                onClick={() => callOff.run(() => connection.ask('migration.cancel', { id, what: 'cutover' }))}
              >
                Call it off
              </button>
            )}
            <button type="button" class="quiet" onClick={onClose}>
              Close
            </button>
          </div>
        </form>
      )}
    </Dialog>
  )
}
