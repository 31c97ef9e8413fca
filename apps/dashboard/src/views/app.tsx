import { useEffect, useMemo, useState } from 'preact/hooks'
import { Connection, isToken, type Reach } from '../client/connection.js'
import { forgetToken, keepToken, tokenOfTab } from '../client/token.js'
import { MigrationList } from './migration-list.js'
import { MigrationView } from './migration-view.js'
import { TokenForm } from './token-form.js'

const idOf = (): string | null => new URLSearchParams(location.search).get('id')

/** Shows one migration or all of them, as the address says, once the token is known. */
export function App() {
  const [token, setToken] = useState(tokenOfTab)
  const [reach, setReach] = useState<Reach>('connecting')
  const [refused, setRefused] = useState(false)
  const [id, setId] = useState(idOf)
  const connection = useMemo(() => (token === null ? null : new Connection(token, setReach)), [token])
  useEffect(() => () => connection?.close(), [connection])
  useEffect(() => {
    const moved = (): void => setId(idOf())
    addEventListener('popstate', moved)
    return () => removeEventListener('popstate', moved)
  }, [])
  useEffect(() => {
    // A token that is not taken looks like a service that is away.
    if (reach === 'lost' && token !== null)
      void isToken(token).then((good) => {
        if (good !== false) return
        forgetToken()
        setRefused(true)
        setToken(null)
      })
  }, [reach, token])
  const show = (next: string | null): void => {
    history.pushState(null, '', next === null ? location.pathname : `?id=${encodeURIComponent(next)}`)
    setId(next)
    scrollTo(0, 0)
  }
  return (
    <>
      <header class="top">
        <a
          href="./"
          onClick={(event) => {
            event.preventDefault()
            show(null)
          }}
        >
          ferrite-migrate
        </a>
        <span role="status">
          {connection === null ? '' : reach === 'open' ? 'connected' : 'the service is out of reach, trying again …'}
        </span>
      </header>
      <main>
        {connection === null ? (
          <TokenForm
            refused={refused}
            onToken={(given) => {
              keepToken(given)
              setToken(given)
            }}
          />
        ) : id === null ? (
          <MigrationList connection={connection} reach={reach} onShow={show} />
        ) : (
          <MigrationView key={id} id={id} connection={connection} reach={reach} />
        )}
      </main>
    </>
  )
}
