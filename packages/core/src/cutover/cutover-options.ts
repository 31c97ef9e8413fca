/** How traffic is to be moved. */
export interface CutoverOptions {
  /** Keys that may be behind before the fence goes up. */
  readonly maxLag: number
  /** How long the lag may take to get there, and the target to catch up behind the fence, ms. */
  readonly timeoutMs: number
  /** Compare everything by value before the fence, and behind it what changed meanwhile. */
  readonly verify: boolean
  /** Keys that only the target has count, also those that were there before. */
  readonly strict: boolean
  /** `none`: writers were stopped in another way, or are not. */
  readonly fence: 'auto' | 'pause' | 'acl' | 'none'
  /** How long the fence stays up after all is done, ms. */
  readonly holdMs: number
  /** `keep-fence`: writers stay locked out of the source after all is done, until `cutover --release`. */
  readonly afterCutover: 'warn' | 'keep-fence'
  /** Shell command that moves the traffic; a failure calls the cutover off. */
  readonly hook?: string
  readonly hookTimeoutMs: number
  /** URL that gets the facts as JSON in place of, or after, the command. */
  readonly webhook?: string
  /** Find out what would happen; change nothing. */
  readonly dryRun: boolean
}

export const CUTOVER_DEFAULTS: CutoverOptions = {
  maxLag: 100,
  timeoutMs: 300_000,
  verify: false,
  strict: false,
  fence: 'auto',
  holdMs: 0,
  afterCutover: 'warn',
  hookTimeoutMs: 60_000,
  dryRun: false,
}
