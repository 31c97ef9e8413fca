import type { Answers, ApiStatus } from '@ferrite-migrate/api'
import { formatDuration } from '@ferrite-migrate/core/page'
import { useEffect, useState } from 'preact/hooks'
import type { Connection } from '../client/connection.js'
import { Dialog } from '../parts/dialog.js'
import { Problem } from '../parts/problem.js'

interface CutoverProps {
  readonly connection: Connection
  readonly status: ApiStatus
  readonly onClose: () => void
}

type Cutover = Answers['migration.cutover']
type Step = Cutover['steps'][number]

/** What a person types to say that they mean this target: its address without user and scheme. */
function nameOf(target: string): string {
  return target
    .replace(/^[^:]+:\/\//, '')
    .replace(/^[^@/]*@/, '')
    .replace(/[/?].*$/, '')
}

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
  const [busy, setBusy] = useState(false)
  const [typed, setTyped] = useState('')
  const [verify, setVerify] = useState(true)
  const [problem, setProblem] = useState<unknown>(null)
  const name = nameOf(target)
  useEffect(() => {
    connection.ask('migration.cutover', { id, dryRun: true }).then(setChecks, setProblem)
  }, [connection, id])
  const go = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault()
    setBusy(true)
    setProblem(null)
    setSteps([])
    const release = connection.listen({
      step: (notice) => notice.id === id && setSteps((former) => [...former, notice.step]),
    })
    try {
      setResult(await connection.ask('migration.cutover', { id, verify }))
    } catch (error) {
      setProblem(error)
    } finally {
      release()
      setBusy(false)
    }
  }
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
          <Problem of={problem} />
          <p>
            Writers of the source are kept out for a moment; from then on <b>{name}</b> is the one to write to.
          </p>
          <label class="check">
            <input
              type="checkbox"
              checked={verify}
              onChange={({ currentTarget }) => setVerify(currentTarget.checked)}
            />{' '}
            compare both ends first
          </label>
          <label>
            Type <code>{name}</code> to confirm{' '}
            <input
              value={typed}
              onInput={({ currentTarget }) => setTyped(currentTarget.value)}
              autocomplete="off"
              spellcheck={false}
            />
          </label>
          <div class="buttons">
            <button type="submit" class="danger" disabled={busy || checks === null || typed.trim() !== name}>
              {busy ? 'Cutting over …' : 'Cut over'}
            </button>
            {busy && (
              <button
                type="button"
                class="quiet"
                onClick={() => connection.ask('migration.cancel', { id, what: 'cutover' }).catch(setProblem)}
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
