/** A connection string as it may be printed and stored: user, password and query taken out. */
export function redactUrl(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, '$1').replace(/\?.*$/s, '')
}
