import { useState } from 'preact/hooks'
import { isToken } from '../client/connection.js'
import { Problem } from '../parts/problem.js'

interface TokenProps {
  /** A token was known, and is not taken any more. */
  readonly refused: boolean
  readonly onToken: (token: string) => void
}

export function TokenForm({ refused, onToken }: TokenProps) {
  const [problem, setProblem] = useState<unknown>(
    refused ? 'The service does not take the token of this tab any more: it was started anew.' : null,
  )
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault()
    const given = String(new FormData(event.currentTarget as HTMLFormElement).get('token')).trim()
    const good = await isToken(given)
    if (good === true) onToken(given)
    else setProblem(good === null ? 'The service is out of reach.' : 'The service does not take this token.')
  }
  return (
    <form class="panel" onSubmit={submit}>
      <h1>Who are you?</h1>
      <p>The service showed a token when it started. It stays in this tab.</p>
      <label>
        Token <input name="token" type="password" autocomplete="off" required />
      </label>
      <button type="submit">Go on</button>
      <Problem of={problem} />
    </form>
  )
}
