import { BaseCommand, confirmed, queueFlags, yesFlag } from '@ferrite-migrate/cli-kit'
import { Flags } from '@ferrite-migrate/cli-kit/oclif'
import { MigrateError, parseOption } from '@ferrite-migrate/contracts'
import {
  ControlQueue,
  type CutoverOptions,
  type CutoverResult,
  type RequestStep,
  releaseFence,
  StateStore,
} from '@ferrite-migrate/core'
import { askRunning } from '../ask-running.js'
import { idFlag, whichMigration } from '../which-migration.js'

export default class Cutover extends BaseCommand {
  static override description =
    'Switch over to the target: writers are kept out of the source, everything is applied and looked at, then the hook runs'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --id mig_abc123',
    '<%= config.bin %> <%= command.id %> --id mig_abc123 --scheduled "2026-12-01T02:00:00Z"',
    '<%= config.bin %> <%= command.id %> --id mig_abc123 --verify --on-cutover ./switch-traffic.sh --hold 30s',
  ]
  static override flags = {
    ...queueFlags,
    id: idFlag,
    'max-lag': Flags.integer({
      description: 'Keys behind at which it may start [default: cutover_max_lag, else 100]',
      min: 0,
    }),
    timeout: Flags.string({ description: 'How long each wait may take [default: 5m]', helpValue: '<TIME>' }),
    verify: Flags.boolean({ description: 'Compare everything by value before the fence, and behind it what changed' }),
    strict: Flags.boolean({
      description: 'Let keys that only the target has count, also those that were there before',
    }),
    fence: Flags.string({
      description: 'How writers are kept out [default: auto]',
      options: ['auto', 'pause', 'acl', 'none'],
    }),
    hold: Flags.string({ description: 'Keep them out for so long afterwards [default: 0]', helpValue: '<TIME>' }),
    'after-cutover': Flags.string({
      description:
        'What becomes of the fence afterwards: it comes down and slipped writes are told, or it stays until --release [default: warn]',
      options: ['warn', 'keep-fence'],
    }),
    'on-cutover': Flags.string({ description: 'Shell command that moves the traffic', helpValue: '<CMD>' }),
    'hook-timeout': Flags.string({ description: 'How long that may take [default: 1m]', helpValue: '<TIME>' }),
    webhook: Flags.string({ description: 'URL to be asked as well', helpValue: '<URL>' }),
    scheduled: Flags.string({
      description: 'Do it at this time, such as 2026-12-01T02:00:00Z',
      exclusive: ['dry-run'],
    }),
    cancel: Flags.boolean({ description: 'Take a scheduled cutover back', exclusive: ['scheduled', 'dry-run'] }),
    'dry-run': Flags.boolean({ description: 'Say what would be done' }),
    release: Flags.boolean({
      description: 'Give writers back what a cutover that did not end, or --after-cutover keep-fence, took from them',
      exclusive: ['scheduled', 'dry-run', 'cancel'],
    }),
    yes: yesFlag,
    source: Flags.string({
      char: 's',
      description: 'With --release: the source with its password',
      helpValue: '<URL>',
      dependsOn: ['release'],
    }),
  }

  async run(): Promise<unknown> {
    const { flags } = await this.parse(Cutover)
    const id = whichMigration(
      this.stateDir(flags['state-dir']),
      flags.id,
      flags.cancel || flags.release || flags.scheduled !== undefined ? 'any' : 'running',
      (text) => this.sayWhich(text),
    )
    const directory = this.stateDir(flags['state-dir'])
    if (this.sharedState !== null && flags.scheduled !== undefined) throw noSchedule()
    if (flags.cancel) return this.cancel(directory, id)
    if (flags.release) {
      // What is put back is no more to be put back for any machine.
      await this.sharedState?.runner.hold(id)
      return this.release(directory, id, flags)
    }
    const ms = (name: string, value: string | undefined): number | undefined =>
      value === undefined
        ? undefined
        : (parseOption({ name, type: 'duration', description: 'Give a duration such as 30s.' }, value) as number)
    const all: { [K in keyof CutoverOptions]?: CutoverOptions[K] | undefined } = {
      maxLag: flags['max-lag'],
      timeoutMs: ms('timeout', flags.timeout),
      verify: flags.verify || undefined,
      strict: flags.strict || undefined,
      fence: flags.fence as CutoverOptions['fence'] | undefined,
      holdMs: ms('hold', flags.hold),
      afterCutover: flags['after-cutover'] as CutoverOptions['afterCutover'] | undefined,
      hook: flags['on-cutover'],
      hookTimeoutMs: ms('hook-timeout', flags['hook-timeout']),
      webhook: flags.webhook,
      dryRun: flags['dry-run'] || undefined,
    }
    const options = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
    if (flags.scheduled !== undefined) return this.schedule(directory, id, flags.scheduled, options)
    if (!flags['dry-run'])
      await confirmed(
        `Switch over now? ${flags.fence === 'none' ? 'Writers are not kept out (--fence none).' : 'Writers wait at the source until it is done.'}`,
        flags,
        this.jsonEnabled(),
      )
    const startedAt = Date.now()
    const show = ({ at, name, text }: RequestStep): void =>
      this.log(`${`+${((at - startedAt) / 1000).toFixed(3)}s`.padStart(10)}  ${name.padEnd(8)} ${text}`)
    const answer = await askRunning(directory, id, 'cutover', { args: options, onStep: show, follow: this.follow })
    const { slipped } = (answer.result ?? {}) as { slipped?: CutoverResult['slipped'] }
    if (slipped !== undefined && (slipped.keys.length > 0 || slipped.more))
      throw new MigrateError(
        'FM_FENCE_FELL',
        `the target is the one to write to, but the source took writes behind the fence that are not there: ${slipped.keys.join(', ')}${slipped.more ? ' and others' : ''}`,
        'Look at these keys at both ends (ferrite-migrate compare) and carry over what belongs there.',
      )
    if (!flags['dry-run']) this.log(`\nRESULT: ✅ CUT OVER${this.afterwards(id, flags)}`)
    return { id, ...answer }
  }

  /** What is true of the source from now on. */
  private afterwards(id: string, flags: { fence?: string | undefined; 'after-cutover'?: string | undefined }): string {
    if (flags['after-cutover'] === 'keep-fence')
      return `; writers stay kept out of the source until ferrite-migrate cutover --id ${id} --release`
    if (flags.fence === 'none') return ''
    return '; the source takes writes again, but nothing carries them to the target any more'
  }

  private schedule(directory: string, id: string, when: string, options: object): unknown {
    const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(when) ? Date.parse(when) : Number.NaN
    if (Number.isNaN(at))
      throw new MigrateError(
        'FM_OPTION_VALUE',
        `"${when.slice(0, 60)}" is no time`,
        'Write it with its zone, such as 2026-12-01T02:00:00Z or 2026-12-01T03:00:00+01:00.',
      )
    if (at <= Date.now())
      throw new MigrateError(
        'FM_OPTION_VALUE',
        `${when} is in the past`,
        'Give a time to come, or cut over at once without --scheduled.',
      )
    const store = new StateStore(directory)
    const control = new ControlQueue(directory)
    try {
      const { status } = store.get(id)
      if (status.state === 'COMPLETED' || status.state === 'ROLLED_BACK')
        throw new MigrateError(
          'FM_CUTOVER_NOT_LIVE',
          `the migration ${id} is ${status.state}`,
          'There is nothing to cut over.',
        )
      control.schedule(id, at, { ...options })
      store.addEvent(id, 'cutover-scheduled', `a cutover is scheduled for ${new Date(at).toISOString()}`)
      this.log(
        `The cutover of ${id} is scheduled for ${new Date(at).toISOString()}. Take it back: ferrite-migrate cutover --id ${id} --cancel`,
      )
      if (status.state !== 'RUNNING')
        this.log(`No process runs it now: go on with it before that time by ferrite-migrate migrate --resume ${id}`)
      return { id, scheduled: new Date(at).toISOString() }
    } finally {
      control.close()
      store.close()
    }
  }

  private async release(
    directory: string,
    id: string,
    flags: { source?: string; verbose?: boolean; plugin?: string[] },
  ): Promise<unknown> {
    const done = await releaseFence({
      id,
      directory,
      registry: this.registry(flags.plugin),
      logger: await this.logger(flags, (text) => this.log(text)),
      given: flags.source === undefined ? {} : { source: flags.source },
    })
    for (const what of done) this.log(`Put back: ${what}.`)
    if (done.length === 0) this.log('Nothing was left changed at the source.')
    return { id, putBack: done }
  }

  private async cancel(directory: string, id: string): Promise<unknown> {
    const store = new StateStore(directory)
    const control = new ControlQueue(directory)
    try {
      const { status } = store.get(id)
      const cancelled = control.cancel(id)
      if (cancelled) store.addEvent(id, 'cutover-cancelled', 'the scheduled cutover was taken back')
      const underWay = !cancelled && status.state === 'RUNNING' && status.phase === 'CUTOVER'
      const result = underWay ? (await askRunning(directory, id, 'call-off')).result : undefined
      const calledOff = result?.calledOff === true
      this.log(
        cancelled
          ? 'The scheduled cutover is taken back.'
          : calledOff
            ? 'The cutover is called off; the migration goes on.'
            : underWay
              ? 'It is too late: the traffic is being moved.'
              : 'No cutover was scheduled.',
      )
      return { id, cancelled: cancelled || calledOff }
    } finally {
      control.close()
      store.close()
    }
  }
}

/** Who would look at the clock? */
function noSchedule(): MigrateError {
  return new MigrateError(
    'FM_QUEUE_SCHEDULE',
    'a migration of a queue may have nobody who follows it when the time comes',
    'Run the cutover at that time, as by cron or at.',
  )
}
