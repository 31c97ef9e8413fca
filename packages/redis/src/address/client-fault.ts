/** What ioredis says of a connection that failed, in words. */
export function clientFault(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ECONNREFUSED') return 'nothing accepts connections'
  if (code === 'ETIMEDOUT') return 'does not answer'
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the host is not known'
  return message === undefined || message === '' ? (code ?? 'not connected') : message
}
