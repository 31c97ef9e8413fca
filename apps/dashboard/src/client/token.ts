const NAME = 'ferrite-migrate.token'

/** The token of this tab: from behind the # of the address, where it is taken away at once, or as it was kept. */
export function tokenOfTab(): string | null {
  const given = /^#token=([\w.~+/=-]+)$/.exec(location.hash)?.[1]
  if (given !== undefined) {
    sessionStorage.setItem(NAME, given)
    history.replaceState(null, '', location.pathname + location.search)
  }
  return sessionStorage.getItem(NAME)
}

export function keepToken(token: string): void {
  sessionStorage.setItem(NAME, token)
}

export function forgetToken(): void {
  sessionStorage.removeItem(NAME)
}
