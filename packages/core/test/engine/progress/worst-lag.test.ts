import { describe, expect, it } from 'vitest'
import { worstLag } from '../../../dist/engine/progress/worst-lag.js'

describe('the lag of several shards', () => {
  it('is that of both together, and in time that of the slower one', () => {
    const lag = { keys: 5, bytes: 100, ms: 20, spooledBytes: 1 }
    expect(worstLag([lag, { keys: 2, bytes: 10, ms: 900, spooledBytes: 4 }])).toEqual({
      ...{ keys: 7, bytes: 110, ms: 900, spooledBytes: 5 },
    })
    // Of what one does not tell nobody knows the whole.
    expect(worstLag([lag, { spooledBytes: 3 }])).toEqual({ spooledBytes: 4 })
    expect(worstLag([lag, null])).toEqual({ spooledBytes: 1 })
    expect(worstLag([])).toEqual({})
    // What waits for the source is known, whatever else is not.
    expect(worstLag([{ unsettled: 2 }, null, { unsettled: 3 }])).toEqual({ unsettled: 5 })
  })
})
