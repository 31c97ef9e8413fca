import { setTimeout as sleep } from 'node:timers/promises'

/** Waits until it is so, however slow the machine is. @throws Error after a minute and a half, with `what` never came */
export async function until(so: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 90_000
  while (!(await so())) {
    if (Date.now() > deadline) throw new Error(`never: ${what}`)
    await sleep(20)
  }
}
