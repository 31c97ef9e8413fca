import type { ApiStatus, Method, Params } from '@ferrite-migrate/api'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Connection } from '../client/connection.js'
import { useTask } from '../client/use-task.js'
import { Dialog } from '../parts/dialog.js'
import { EndsForm } from '../parts/ends-form.js'
import { Problem } from '../parts/problem.js'
import { CutoverDialog } from './cutover-dialog.js'
import { RollbackDialog } from './rollback-dialog.js'

interface ActionsProps {
  readonly connection: Connection
  readonly status: ApiStatus
  /** The service is out of reach: nothing can be asked. */
  readonly away: boolean
}

/** What can be asked of a migration as it is now. */
export function Actions({ connection, status, away }: ActionsProps) {
  const [open, setOpen] = useState<'cutover' | 'rollback' | 'cancel' | null>(null)
  const { problem, run } = useTask()
  const { id, state, phase, paused, mode } = status
  const close = (): void => setOpen(null)
  const ask = <M extends Method>(method: M, params: Params<M>): Promise<void> =>
    run(async () => {
      await connection.ask(method, params)
      close()
    })
  const running = state === 'RUNNING'
  const buttons = useRef<HTMLDivElement>(null)
  const focused = useRef(false)
  useEffect(() => {
    // The button that had the focus is gone with what it asked for: whoever uses a keyboard goes on beside it.
    if (focused.current && document.activeElement === document.body) buttons.current?.focus()
  })
  return (
    <div class="actions">
      <div
        ref={buttons}
        class="buttons"
        tabIndex={-1}
        onFocusIn={() => {
          focused.current = true
        }}
        onFocusOut={({ relatedTarget }) => {
          if (relatedTarget !== null) focused.current = false
        }}
      >
        {running && phase !== 'CUTOVER' && (
          <button
            type="button"
            disabled={away}
            class={paused ? '' : 'quiet'}
            onClick={() => ask(paused ? 'migration.resume' : 'migration.pause', { id })}
          >
            {paused ? 'Resume' : 'Pause'}
          </button>
        )}
        {running && phase === 'LIVE_SYNC' && mode !== 'snapshot' && !paused && (
          <button type="button" disabled={away} onClick={() => setOpen('cutover')}>
            Cut over…
          </button>
        )}
        {running && phase === 'CUTOVER' && (
          <button
            type="button"
            class="danger"
            disabled={away}
            onClick={() => ask('migration.cancel', { id, what: 'cutover' })}
          >
            Call the cutover off
          </button>
        )}
        {running && (
          <button type="button" class="quiet" disabled={away} onClick={() => setOpen('cancel')}>
            Cancel…
          </button>
        )}
        {(state === 'INTERRUPTED' || state === 'FAILED') && (
          <button type="button" disabled={away} onClick={() => ask('migration.start', { resume: id })}>
            Go on
          </button>
        )}
        {!running && state !== 'ROLLED_BACK' && (
          <button type="button" class="quiet" disabled={away} onClick={() => setOpen('rollback')}>
            Roll back…
          </button>
        )}
      </div>
      <Problem of={problem} />
      <EndsForm problem={problem} onGiven={(config) => ask('migration.start', { resume: id, config: { ...config } })} />
      {open === 'cutover' && <CutoverDialog connection={connection} status={status} onClose={close} />}
      {open === 'rollback' && <RollbackDialog connection={connection} status={status} onClose={close} />}
      {open === 'cancel' && (
        <Dialog title={`Cancel ${id}?`} onClose={close}>
          <p>What was read is written, and the place is kept: it can go on from there.</p>
          <div class="buttons">
            <button type="button" class="quiet" onClick={close}>
              Let it run
            </button>
            <button type="button" class="danger" onClick={() => ask('migration.cancel', { id })}>
              Stop it
            </button>
          </div>
        </Dialog>
      )}
    </div>
  )
}
