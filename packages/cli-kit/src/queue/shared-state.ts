import { setTimeout as sleep } from 'node:timers/promises'
import { type Logger, MigrateError } from '@ferrite-migrate/contracts'
import {
  type CreateRunner,
  Migration,
  type Registry,
  type RequestKind,
  type Runner,
  resumedConfig,
  StateStore,
} from '@ferrite-migrate/core'

/** How long a migration that is followed anew may take until it can be asked, ms. */
const READY_MS = 20_000
const LOOK_MS = 50
/** How long a migration that is asked to stop may take, ms. */
const STOPS_MS = 60_000

/** A migration that a command follows for as long as it asks for something. */
export interface Followed {
  /** Its workers go on, and nobody follows it any more. */
  leave(): Promise<void>
}

/** The state that all machines share which reach a queue, as a directory of this one. */
export class SharedState {
  readonly runner: Runner
  private readonly url: string
  private readonly stateDir: string
  private readonly registry: Registry
  private readonly logger: Logger

  private constructor(runner: Runner, url: string, stateDir: string, registry: Registry, logger: Logger) {
    this.runner = runner
    this.url = url
    this.stateDir = stateDir
    this.registry = registry
    this.logger = logger
  }

  /**
   * @param stateDir of this machine; the shared one is below it
   * @throws MigrateError FM_QUEUE_*, FM_PLUGIN_MISSING
   */
  static async open(url: string, stateDir: string, registry: Registry, logger: Logger): Promise<SharedState> {
    const create = await registry.runner<CreateRunner>(url)
    const runner = await create({ url, stateDir, logger })
    try {
      await runner.sync()
      runner.keepSynced()
      return new SharedState(runner, url, stateDir, registry, logger)
    } catch (error) {
      await runner[Symbol.asyncDispose]()
      throw error
    }
  }

  /**
   * Follows a migration that nobody follows, so that somebody is there to be asked; null = somebody does, or it is over. Passwords of its
   * ends come from the environment.
   * @throws MigrateError FM_RESUME_PASSWORD, and whatever keeps it from being followed
   */
  async follow(id: string, kind: RequestKind): Promise<Followed | null> {
    const store = new StateStore(this.runner.directory)
    let migration: Migration
    try {
      const stored = store.get(id)
      if (stored.status.state !== 'RUNNING' || (await this.runner.isFollowed(id))) return null
      const config = resumedConfig(stored, { queue: this.url, stateDir: this.stateDir })
      migration = new Migration(config, { registry: this.registry, logger: this.logger })
    } finally {
      store.close()
    }
    const over = migration.start()
    over.catch(() => undefined)
    const isOver = over.then(() => true)
    const ready = kind === 'cutover' || kind === 'verify' ? ['LIVE_SYNC'] : ['INITIAL_SYNC', 'LIVE_SYNC']
    for (const deadline = Date.now() + READY_MS; Date.now() < deadline; ) {
      if (await Promise.race([isOver, sleep(LOOK_MS, false)])) break
      if (ready.includes(migration.status().phase)) break
    }
    return {
      leave: async () => {
        // What is asked to stop, or was cut over, ends by itself.
        if (kind !== 'stop' && migration.canLeave) migration.leave()
        await over.catch(() => undefined)
      },
    }
  }

  /**
   * What a command writes of a migration from now on is written for all machines, until the answer is called, or this is closed.
   * @param stop asks one that runs to stop
   * @throws MigrateError FM_ID_TAKEN while another process writes for it
   */
  async take(id: string, stop: () => Promise<unknown>): Promise<() => Promise<void>> {
    const store = new StateStore(this.runner.directory)
    const runs = store.find(id)?.status.state === 'RUNNING'
    store.close()
    // It may come to its end by itself just then.
    if (runs)
      await stop().catch((error: unknown) => {
        if (!(error instanceof MigrateError) || error.code !== 'FM_NOT_RUNNING') throw error
      })
    // Whoever stops it writes what has been read first.
    for (const deadline = Date.now() + STOPS_MS; Date.now() < deadline; await sleep(LOOK_MS * 4))
      if (!(await this.runner.isFollowed(id))) break
    await this.runner.hold(id)
    // A worker that is away for the moment would go on with it when it comes back.
    await this.runner.abandon(id)
    return () => this.runner.letGo(id)
  }

  async close(): Promise<void> {
    await this.runner[Symbol.asyncDispose]()
  }
}
