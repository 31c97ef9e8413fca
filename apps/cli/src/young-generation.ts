import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/** Enough that records are gone before they are promoted; more only makes the process larger. */
const ENOUGH_BYTES = 16 << 20
const LOOK_MS = 2

/** Ends the growth of V8's young generation at half of what V8 would take. */
export function capYoungGeneration(): void {
  const look = setInterval(() => {
    const young = getHeapSpaceStatistics().find((space) => space.space_name === 'new_space')
    if (young !== undefined && young.space_size < ENOUGH_BYTES) return
    setFlagsFromString('--semi-space-growth-factor=1')
    clearInterval(look)
  }, LOOK_MS)
  look.unref()
}
