/** Where a server listens. */
export interface Address {
  readonly host: string
  readonly port: number
}

/**
 * Says where a server is now. Asked before every connection, also after every loss, since the answer may be another then: a
 * Sentinel that has failed over, a cluster whose topology moved. A fixed address gives the same each time.
 * @throws MigrateError, `retryable` where nobody can tell for the moment
 */
export type Locate = () => Promise<Address>
