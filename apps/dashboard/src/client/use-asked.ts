import { useEffect, useRef, useState } from 'preact/hooks'

/** What is asked for again and again while it is shown; the last answer stays while the service is away. */
export function useAsked<T>(ask: () => Promise<T>, everyMs: number, of: unknown): T | null {
  const [answer, setAnswer] = useState<T | null>(null)
  const latest = useRef(ask)
  latest.current = ask
  useEffect(() => {
    let going = true
    let timer: ReturnType<typeof setTimeout> | undefined
    const look = async (): Promise<void> => {
      try {
        const found = await latest.current()
        if (going) setAnswer(() => found)
      } catch {
        // It is asked again; that the service is away is told elsewhere.
      }
      if (going) timer = setTimeout(look, everyMs)
    }
    void look()
    return () => {
      going = false
      clearTimeout(timer)
    }
  }, [everyMs, of])
  return answer
}
