import { type AdapterContext, MigrateError, type Transform } from '@ferrite-migrate/contracts'
import { type Frame, oneByOne, packFrame, SandboxError, unpackFrame, WorkerPool } from '@ferrite-migrate/sandbox'

const LOAD_MS = 60_000

/** What the worker answers: the results in order, and why some have none. */
export interface JqAnswer {
  readonly frame: Frame
  readonly faults: readonly (readonly [number, string])[]
}

/** A jq filter over JSON values; it runs in a process of its own. */
class JqTransform implements Transform {
  private readonly pool: WorkerPool
  private readonly firstFaultEnds: boolean

  constructor(pool: WorkerPool, firstFaultEnds: boolean) {
    this.pool = pool
    this.firstFaultEnds = firstFaultEnds
  }

  async items(items: readonly Buffer[]): Promise<readonly (Buffer | Error)[]> {
    try {
      const answer = (await this.pool.run(packFrame(items))) as JqAnswer
      const results: (Buffer | Error)[] = unpackFrame(answer.frame)
      for (const [at, message] of answer.faults) results[at] = new Error(message)
      return results
    } catch (error) {
      if (!(error instanceof SandboxError)) throw error
      // One value that the filter cannot end must not take the others with it.
      if (items.length === 1) return [new Error(`jq: ${error.message}`)]
      return oneByOne(items, async (item) => (await this.items([item]))[0], this.firstFaultEnds)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.close()
  }
}

/** @throws MigrateError FM_TRANSFORM_INVALID when the filter cannot be compiled */
export async function createTransform({
  options,
  logger,
  signal,
  firstFaultEnds = false,
}: AdapterContext): Promise<Transform> {
  const filter = String(options.filter ?? '')
  try {
    const pool = await WorkerPool.open({
      module: new URL('./jq-worker.js', import.meta.url),
      data: { filter },
      memoryBytes: Number(options.memory),
      workers: Number(options.workers),
      timeoutMs: Number(options.timeout),
      interruptible: false,
      loadMs: LOAD_MS,
      logger,
      signal,
    })
    return new JqTransform(pool, firstFaultEnds)
  } catch (cause) {
    throw new MigrateError(
      'FM_TRANSFORM_INVALID',
      `the jq filter cannot be used: ${(cause as Error).message}`,
      'Try it with ferrite-migrate transform test.',
      { cause },
    )
  }
}
