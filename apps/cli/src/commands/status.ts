import { setTimeout as sleep } from 'node:timers/promises'
import { BaseCommand, commandAgain, queueFlags, statusLines } from '@ferrite-migrate/cli-kit'
import { Flags } from '@ferrite-migrate/cli-kit/oclif'
import { counted } from '@ferrite-migrate/contracts'
import { type MigrationStatus, StateStore } from '@ferrite-migrate/core'
import { idFlag, whichMigration } from '../which-migration.js'

export default class Status extends BaseCommand {
  static override description = 'Check migration status'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --id mig_abc123',
    '<%= config.bin %> <%= command.id %> --id mig_abc123 --watch',
  ]
  static override flags = {
    ...queueFlags,
    id: idFlag,
    watch: Flags.boolean({ char: 'w', description: 'Show it again every second until it ends' }),
  }

  /** Which machines run it, where it is run by a queue. */
  private async workerLines(id: string): Promise<string[]> {
    const workers = await this.sharedState?.runner.workers()
    if (workers === undefined) return []
    const own = workers.filter(({ migration }) => migration === id)
    const followed = await this.sharedState?.runner.isFollowed(id)
    return [
      '',
      `Workers: ${counted(own.length, 'process has', 'processes have')} shards of it, ${counted(workers.length - own.length, 'other')} at the queue`,
      ...own.map(({ name, host, pid, shard }) => `  ${(shard ?? '').padEnd(20)} ${name} (${host}, process ${pid})`),
      ...(followed === true
        ? []
        : ['', 'Nobody follows it: the workers go on by themselves, and how far they are behind is not known.']),
    ]
  }

  async run(): Promise<MigrationStatus> {
    const { flags } = await this.parse(Status)
    const id = whichMigration(this.stateDir(flags['state-dir']), flags.id, 'any', (text) => this.sayWhich(text))
    const store = new StateStore(this.stateDir(flags['state-dir']))
    try {
      for (;;) {
        const { status } = store.get(id)
        if (flags.watch && !this.jsonEnabled() && process.stdout.isTTY) process.stdout.write('\x1b[H\x1b[2J')
        this.log([...statusLines(status), ...(status.state === 'RUNNING' ? await this.workerLines(id) : [])].join('\n'))
        if (status.state === 'INTERRUPTED')
          this.log(
            `\nIts process is gone. To go on: ${commandAgain(`migrate --resume ${id}`, { stateDir: flags['state-dir'], queue: flags.queue })}`,
          )
        if (!flags.watch || this.jsonEnabled() || status.state !== 'RUNNING') return status
        await sleep(1000)
      }
    } finally {
      store.close()
    }
  }
}
