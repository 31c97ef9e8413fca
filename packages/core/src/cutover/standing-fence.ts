import { type Fence, MigrateError, type Source } from '@ferrite-migrate/contracts'
import type { CutoverOptions } from './cutover-options.js'

const REFRESH_MS = 1000

type FenceOptions = Pick<CutoverOptions, 'fence' | 'afterCutover'>

/** What keeps writers out of the source during one cutover: it is refreshed as long as it stands, and comes down once. */
export class StandingFence {
  private readonly source: Pick<Source, 'fence'>
  private readonly options: FenceOptions
  private readonly step: (name: string, text: string) => void
  private fence: Fence | null = null
  private refreshing: NodeJS.Timeout | undefined
  private releasing: Promise<void> | null = null
  private since = 0

  /** @param step is told what is done, under the name of a step */
  constructor(source: Pick<Source, 'fence'>, options: FenceOptions, step: (name: string, text: string) => void) {
    this.source = source
    this.options = options
    this.step = step
  }

  /** What stands; null = nothing does. */
  get standing(): Fence | null {
    return this.fence
  }

  /** How long writers have been kept out, ms; null = they are not. */
  get downtimeMs(): number | null {
    return this.since === 0 ? null : Date.now() - this.since
  }

  /** What would be put up; null = no fence is wanted. @throws MigrateError FM_FENCE_UNAVAILABLE */
  async check(): Promise<Fence | null> {
    return this.options.fence === 'none' ? null : this.make(true)
  }

  /** @throws MigrateError FM_FENCE_UNAVAILABLE */
  async putUp(): Promise<void> {
    if (this.options.fence === 'none') {
      this.step('fence', 'no fence, as asked: what is written to the source from now on may be lost')
      return
    }
    this.since = Date.now()
    const fence = await this.make(false)
    this.fence = fence
    let refreshing = false
    this.refreshing = setInterval(() => {
      if (refreshing) return
      refreshing = true
      void fence
        .refresh()
        .catch(() => undefined)
        .finally(() => {
          refreshing = false
        })
    }, REFRESH_MS)
    this.step('fence', fence.note)
  }

  /** It stays when this process ends; false = nothing stands. */
  keep(): boolean {
    if (this.fence === null) return false
    clearInterval(this.refreshing)
    this.fence.keep?.()
    this.fence = null
    return true
  }

  /** Takes it down; asked for twice, the second waits for the first. */
  release(why: string): Promise<void> {
    // One that failed may be tried again.
    this.releasing ??= this.takeDown(why).catch((error: unknown) => {
      this.releasing = null
      throw error
    })
    return this.releasing
  }

  private async takeDown(why: string): Promise<void> {
    clearInterval(this.refreshing)
    const { fence } = this
    if (fence === null) return
    await fence.release()
    this.fence = null
    this.step('release', `the fence is down (${why})`)
  }

  private make(check: boolean): Promise<Fence> {
    const { fence, afterCutover } = this.options
    if (this.source.fence === undefined || fence === 'none')
      throw new MigrateError(
        'FM_FENCE_UNAVAILABLE',
        'this source knows no way to keep writers out',
        'Stop the writers yourself and give --fence none.',
      )
    // Only a rule outlives this process.
    return this.source.fence(fence === 'auto' && afterCutover === 'keep-fence' ? 'acl' : fence, check)
  }
}
