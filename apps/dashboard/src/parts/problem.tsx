/** What the service told of a fault. */
interface Told {
  readonly code: string
  readonly message: string
  readonly hint: string
}

const isTold = (of: unknown): of is Told => typeof of === 'object' && of !== null && 'code' in of && 'hint' in of

/** What went wrong, and what to do. */
export function Problem({ of }: { of: unknown }) {
  if (of === null || of === undefined) return null
  const { code, message, hint } = isTold(of)
    ? of
    : { code: '', message: of instanceof Error ? of.message : String(of), hint: '' }
  return (
    <div class="problem" role="alert">
      <b>{code}</b> {message}
      {hint !== '' && <p>{hint}</p>}
    </div>
  )
}
