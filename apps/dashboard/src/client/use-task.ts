import { useState } from 'preact/hooks'

export interface Task {
  readonly busy: boolean
  /** What went wrong last; null = nothing. */
  readonly problem: unknown
  /** Does one thing; what goes wrong is kept, and gone with the next. */
  run(work: () => Promise<unknown>): Promise<void>
}

/** What a person has asked for, while it is under way. */
export function useTask(): Task {
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<unknown>(null)
  const run = async (work: () => Promise<unknown>): Promise<void> => {
    setBusy(true)
    setProblem(null)
    try {
      await work()
    } catch (error) {
      setProblem(error)
    } finally {
      setBusy(false)
    }
  }
  return { busy, problem, run }
}
