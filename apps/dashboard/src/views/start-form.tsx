import type { PlanResult } from '@ferrite-migrate/api'
import { useState } from 'preact/hooks'
import type { Connection } from '../client/connection.js'
import { useTask } from '../client/use-task.js'
import { Dialog } from '../parts/dialog.js'
import { PlanPart } from '../parts/plan-part.js'
import { Problem } from '../parts/problem.js'

interface StartProps {
  readonly connection: Connection
  readonly onClose: () => void
  readonly onStarted: (id: string) => void
}

/** Source, target and mode; what would be done is shown before anything is. */
export function StartForm({ connection, onClose, onStarted }: StartProps) {
  const [plan, setPlan] = useState<PlanResult | null>(null)
  const { busy, problem, run } = useTask()
  const submit = (event: SubmitEvent): void => {
    event.preventDefault()
    const fields = new FormData(event.currentTarget as HTMLFormElement)
    const config: Record<string, unknown> = {
      source: String(fields.get('source')).trim(),
      target: String(fields.get('target')).trim(),
      mode: fields.get('mode'),
      ...(String(fields.get('id')).trim() === '' ? {} : { id: String(fields.get('id')).trim() }),
    }
    const detach = fields.get('detach') === 'on'
    void run(async () => {
      if (plan === null) setPlan(await connection.ask('migration.plan', { config }))
      else onStarted((await connection.ask('migration.start', { config, detach })).id)
    })
  }
  return (
    <Dialog title="New migration" onClose={onClose}>
      <form onSubmit={submit} onInput={() => setPlan(null)}>
        {/* A plan is of what stands here: nothing is changed while it is made. */}
        <fieldset disabled={busy}>
          <label>
            Source{' '}
            <input
              name="source"
              required
              placeholder="redis://user:password@host:6379"
              autocomplete="off"
              spellcheck={false}
            />
          </label>
          <label>
            Target{' '}
            <input name="target" required placeholder="ferrite://host:6379" autocomplete="off" spellcheck={false} />
          </label>
          <label>
            Mode{' '}
            <select name="mode">
              <option value="live">live: copy, then follow until a cutover</option>
              <option value="snapshot">snapshot: copy once</option>
            </select>
          </label>
          <label>
            Name{' '}
            <input
              name="id"
              pattern="[A-Za-z0-9_\-]{1,64}"
              title="Letters, digits, _ and - only, 64 at most"
              placeholder="made up where it is left out"
              autocomplete="off"
            />
          </label>
          <label class="check">
            <input type="checkbox" name="detach" defaultChecked /> goes on when this service ends
          </label>
        </fieldset>
        {plan !== null && <PlanPart plan={plan.plan} />}
        <Problem of={problem} />
        <div class="buttons">
          <button type="submit" disabled={busy || plan?.refused === true}>
            {plan === null ? (busy ? 'Looking at both ends …' : 'Check') : busy ? 'Starting …' : 'Start'}
          </button>
          <button type="button" class="quiet" onClick={onClose}>
            Close
          </button>
        </div>
      </form>
    </Dialog>
  )
}
