import { AskError } from '../client/connection.js'

/** What a service wants to know that its state does not have: nothing with a password is kept there. */
export type Ends = { readonly source?: string; readonly target?: string }

interface EndsFormProps {
  /** What went wrong; the form shows itself where a password is missing. */
  readonly problem: unknown
  readonly onGiven: (ends: Ends) => void
}

/** Asks for connection strings with passwords where they are missing. They go to the service, and stay in its memory. */
export function EndsForm({ problem, onGiven }: EndsFormProps) {
  if (!(problem instanceof AskError) || problem.code !== 'FM_RESUME_PASSWORD') return null
  const submit = (event: SubmitEvent): void => {
    event.preventDefault()
    const fields = new FormData(event.currentTarget as HTMLFormElement)
    const given = (['source', 'target'] as const).flatMap((name) => {
      const value = String(fields.get(name)).trim()
      return value === '' ? [] : [[name, value] as const]
    })
    onGiven(Object.fromEntries(given))
  }
  return (
    <form class="ends-form" onSubmit={submit}>
      <p>Passwords are not stored. Give the connection strings once more, with theirs, where one is needed:</p>
      <label>
        Source with its password <input name="source" type="password" autocomplete="off" />
      </label>
      <label>
        Target with its password <input name="target" type="password" autocomplete="off" />
      </label>
      <button type="submit">Try again</button>
    </form>
  )
}
