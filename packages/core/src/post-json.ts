/**
 * Posts JSON to an address that may itself be a secret: null when it was taken, else why not, without the address.
 * A redirect is a failure: what is told is not for somebody else.
 */
export async function postJson(url: string, body: object, signal: AbortSignal): Promise<string | null> {
  let answer: Response
  try {
    answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      redirect: 'error',
      signal,
    })
  } catch (error) {
    // The message of fetch may hold the address; the code of its cause does not.
    const { name, cause } = error as Error & { cause?: { code?: unknown } }
    const code = typeof cause?.code === 'string' && /^[A-Z_]{1,40}$/.test(cause.code) ? cause.code : name
    return code === 'TypeError' ? 'has an address that is no URL' : `could not be reached (${code})`
  }
  await answer.body?.cancel()
  return answer.ok ? null : `answered ${answer.status}`
}
