/** How far a comparison is. */
export interface CompareProgress {
  /** Keys are compared; those that differ are looked at again; what differs is looked into. */
  readonly stage: 'compare' | 'again' | 'describe'
  readonly done: number
  /** Null = nobody knows. */
  readonly total: number | null
}
