import { AskError } from '../client/connection.js'

/** What went wrong, and what to do. */
export function Problem({ of }: { of: unknown }) {
  if (of === null || of === undefined) return null
  const { code, hint } = of instanceof AskError ? of : { code: '', hint: '' }
  return (
    <div class="problem" role="alert">
      <b>{code}</b> {of instanceof Error ? of.message : String(of)}
      {hint !== '' && <p>{hint}</p>}
    </div>
  )
}
