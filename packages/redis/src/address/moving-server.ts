import type { Address } from '@ferrite-migrate/contracts'

/** Tells when another server takes the place of the one that is connected to, as after a failover. */
export interface MovingServer {
  /**
   * Calls with the address each time that it is looked at or said to be another one.
   * @returns ends the calls
   */
  moved(listener: (address: Address) => void): () => void
  /** A connection was lost, or is to one that is no primary any more: the address is looked at again. */
  doubt(): void
  /** What to do where this address cannot be reached. */
  advice(address: Address): string
  /** How often anybody said that the server is another one; who compares two of these knows whether it stayed. */
  readonly moves: number
  /** Ends connections and timers; nobody is asked any more. */
  close(): void
}
