import { availableParallelism } from 'node:os'
import {
  BaseCommand,
  Flags,
  loadedPlugins,
  measuringFlags,
  measuringOf,
  onSignals,
  queueFlags,
} from '@ferrite-migrate/cli-kit'
import { MigrateError, parseOption } from '@ferrite-migrate/contracts'
import { findPlugin } from '@ferrite-migrate/core'
import { readQueueAddress } from '../connection/queue-address.js'
import { queueFindings } from '../connection/queue-check.js'
import { mustAnswer, openLink, queueAway } from '../connection/queue-link.js'
import { WorkerPool } from '../work/worker-pool.js'

/** Shorter locks are lost by a pause of the garbage collector. */
const LEAST_LOCK_MS = 1000
const MOST_LOCK_MS = 300_000

export default class Worker extends BaseCommand {
  static override description =
    'Run shards of migrations that are started with --queue, on as many machines as there are (docs/scale-out.md)'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --queue redis://queue:6379 --concurrency 8',
    'FERRITE_MIGRATE_SOURCE_PASSWORD=... FERRITE_MIGRATE_TARGET_PASSWORD=... <%= config.bin %> <%= command.id %> --queue rediss://user@queue:6379',
  ]
  static override flags = {
    ...queueFlags,
    concurrency: Flags.integer({
      char: 'c',
      description: 'Shards that this machine runs at once, each in a process of its own [default: its processors]',
      min: 1,
      max: 1024,
    }),
    lock: Flags.string({
      description: 'How long a shard stays with a worker that does not answer any more: the same for all workers',
      default: '5s',
      helpValue: '<TIME>',
    }),
    ...measuringFlags,
  }

  protected override readonly sharesState = false

  async run(): Promise<void> {
    const { flags } = await this.parse(Worker)
    const url = flags.queue
    if (url === undefined)
      throw new MigrateError(
        'FM_USAGE',
        'a worker needs a queue',
        'Give --queue redis://host:port or FERRITE_MIGRATE_QUEUE.',
      )
    const option = { name: 'lock', type: 'duration', min: LEAST_LOCK_MS, max: MOST_LOCK_MS } as const
    const lockMs = Number(parseOption({ ...option, description: 'Give a duration such as 5s.' }, flags.lock))
    const openMeasuring = await measuringOf(this.config, flags)
    await this.examine(url)
    const concurrency = flags.concurrency ?? availableParallelism()
    const extra = flags.plugin ?? []
    const plugins = [...loadedPlugins(this.config), ...extra.map((name) => findPlugin(name, process.cwd()))]
    const say = (level: string, text: string): void => {
      if (this.jsonEnabled()) process.stdout.write(`${JSON.stringify({ at: new Date().toISOString(), level, text })}\n`)
      else this.log(`${new Date().toISOString()} ${text}`)
    }
    const pool = new WorkerPool({
      task: { url, lockMs, stateDir: this.stateDir(flags['state-dir']), plugins, measures: openMeasuring !== null },
      concurrency,
      say,
    })
    const measuring = await openMeasuring?.(
      () => pool.measures.samples(),
      (text) => say('info', text),
    )
    const release = onSignals(
      () => {
        say('info', 'stopping: what runs here is given to other workers')
        pool.stop()
      },
      () => process.exit(130),
    )
    say('info', `waiting for shards at ${readQueueAddress(url).label}, ${concurrency} at once (Ctrl-C ends it)`)
    await pool.run().finally(release)
    await measuring?.close()
  }

  /** What no worker may rely on is refused before it takes anything. */
  private async examine(url: string): Promise<void> {
    const address = readQueueAddress(url)
    const link = openLink(address)
    try {
      await mustAnswer(link, address.label)
      const findings = await queueFindings(link, address.label)
      const refused = findings.find(({ level }) => level === 'fail')
      if (refused !== undefined)
        throw new MigrateError('FM_PREFLIGHT_REFUSED', refused.text, 'Set the server up as docs/scale-out.md says.')
    } catch (error) {
      throw queueAway(address.label, error)
    } finally {
      link.disconnect()
    }
  }
}
