import { Flags } from '@ferrite-migrate/cli-kit/oclif'
import { MigrateError } from '@ferrite-migrate/contracts'
import { StateStore } from '@ferrite-migrate/core'

/** The flag that names a migration, for commands that can find it themselves. */
export const idFlag = Flags.string({
  description: 'Name of the migration [default: the one that runs, else the newest]',
  helpValue: '<ID>',
})

/**
 * The migration that is meant: the one named, else the one that runs, else the newest.
 * @param want `running` = only one that runs will do
 * @param say told which one was taken without its name being given
 * @throws MigrateError FM_ID_UNKNOWN when there is none, FM_ID_SEVERAL when more than one runs, FM_NOT_RUNNING
 */
export function whichMigration(
  directory: string,
  given: string | undefined,
  want: 'running' | 'any',
  say: (text: string) => void,
): string {
  if (given !== undefined) return given
  const store = new StateStore(directory)
  try {
    const all = store.list()
    const running = all.filter(({ status }) => status.state === 'RUNNING')
    if (running.length > 1)
      throw new MigrateError(
        'FM_ID_SEVERAL',
        `${running.length} migrations are running: ${running
          .slice(0, 10)
          .map(({ id }) => id)
          .join(', ')}`,
        'Name one with --id.',
      )
    if (running.length === 1) {
      say(`${running[0].id}, which is running:`)
      return running[0].id
    }
    if (all.length === 0)
      throw new MigrateError(
        'FM_ID_UNKNOWN',
        'there is no migration yet',
        'Start one with ferrite-migrate migrate or ferrite-migrate wizard; --state-dir names another directory.',
      )
    if (want === 'running')
      throw new MigrateError(
        'FM_NOT_RUNNING',
        'no migration is running',
        'ferrite-migrate list shows all; ferrite-migrate migrate --resume ID goes on with one.',
      )
    say(`${all[0].id}, the newest:`)
    return all[0].id
  } finally {
    store.close()
  }
}
