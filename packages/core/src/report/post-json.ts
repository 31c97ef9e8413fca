/** Why no answer came, by the code of the cause; the message of fetch may hold the address. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refuses connections',
  ENOTFOUND: 'has a host name that is not known',
  EAI_AGAIN: 'has a host name that is not known',
  ECONNRESET: 'ended the connection',
  UND_ERR_SOCKET: 'ended the connection',
  ETIMEDOUT: 'did not answer in time',
  UND_ERR_CONNECT_TIMEOUT: 'did not answer in time',
  UND_ERR_HEADERS_TIMEOUT: 'did not answer in time',
  EPROTO: 'does not speak TLS',
}

function reason(error: Error): string {
  const cause = (error.cause ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'did not answer in time'
  const code = typeof cause.code === 'string' && /^[A-Z_]{1,40}$/.test(cause.code) ? cause.code : ''
  if (REASONS[code] !== undefined) return REASONS[code]
  if (/^ERR_SSL/.test(code)) return 'does not speak TLS'
  if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code)) return `has a certificate that is not trusted (${code})`
  const said = String(cause.message ?? '')
  if (said === 'bad port') return 'has a port that is not allowed'
  if (said === 'unexpected redirect') return 'answers with a redirect, which is not followed'
  return code === '' ? 'could not be reached' : `could not be reached (${code})`
}

/** The address without what it says about who asks, and that as a header; null = it is no address of the web. */
function request(url: string): { url: URL; headers: Record<string, string> } | null {
  const at = URL.canParse(url) ? new URL(url) : null
  if (at === null || !/^https?:$/.test(at.protocol)) return null
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  if (at.username !== '' || at.password !== '') {
    // fetch takes no address that holds them.
    const login = `${decodeURIComponent(at.username)}:${decodeURIComponent(at.password)}`
    headers.authorization = `Basic ${Buffer.from(login).toString('base64')}`
    at.username = ''
    at.password = ''
  }
  return { url: at, headers }
}

/**
 * Posts JSON to an address that may itself be a secret: null when it was taken, else why not, without the address.
 * A redirect is a failure: what is told is not for somebody else.
 */
export async function postJson(url: string, body: object, signal: AbortSignal): Promise<string | null> {
  let answer: Response
  try {
    const asked = request(url)
    if (asked === null) return 'has an address that is no http or https URL'
    answer = await fetch(asked.url, {
      method: 'POST',
      headers: asked.headers,
      body: JSON.stringify(body),
      redirect: 'error',
      signal,
    })
  } catch (error) {
    return reason(error as Error)
  }
  await answer.body?.cancel()
  return answer.ok ? null : `answered ${answer.status}`
}
