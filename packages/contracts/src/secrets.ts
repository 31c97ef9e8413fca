/** Shorter ones would make holes into every text. */
const LEAST = 4
const MOST = 1000
const secrets = new Set<string>()
let longestFirst: readonly string[] = []

/** Remembers a secret, so that no text that leaves the tool holds it; also as it stands in a connection string. */
export function keepSecret(secret: string): void {
  for (const form of [secret, encodeURIComponent(secret)])
    if (form.length >= LEAST && !secrets.has(form) && secrets.size < MOST) secrets.add(form)
  longestFirst = [...secrets].sort((a, b) => b.length - a.length)
}

/** User and password in front of a host. */
const CREDENTIALS = /([a-z][a-z0-9+.-]*:\/\/)(?!\[)[^\s'"]*@/gi
/** Hashes of passwords as ACL LIST gives them. */
const HASHES = /#[0-9a-f]{64}/gi

/** The text with every remembered secret, and whatever looks like one, replaced. */
export function withoutSecrets(text: string): string {
  let clean = text.replace(CREDENTIALS, '$1***@').replace(HASHES, '#***')
  for (const secret of longestFirst) if (clean.includes(secret)) clean = clean.replaceAll(secret, '***')
  return clean
}
