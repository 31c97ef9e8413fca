/** The name that the certificate of this host has to be of; a bare address is no name. */
export function serverName(host: string): string {
  return /^[\d.]+$|:/.test(host) ? '' : host
}
