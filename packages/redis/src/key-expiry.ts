/** The command that tells when keys end: newer servers know the moment itself. */
export type ExpiryCommand = 'PEXPIRETIME' | 'PTTL'

/** What such a command tells of a key that is gone. */
export const GONE = -2

/** The end that a command told, 0 = none, absolute ms. */
export function endOf(command: ExpiryCommand, told: number, now: number): number {
  return told < 0 ? 0 : command === 'PEXPIRETIME' ? told : now + told
}
