import { offerPlugin, runAgain } from '@ferrite-migrate/cli-kit'
import type { Hook, Interfaces } from '@ferrite-migrate/cli-kit/oclif'
import { MigrateError } from '@ferrite-migrate/contracts'
import { KNOWN_PLUGINS, MissingPluginError, nearest } from '@ferrite-migrate/core'

/** What oclif takes for the name of a command may be a word too many behind one. */
export function unknownCommand(id: string, config: Interfaces.Config): MigrateError {
  const words = id.split(':')
  for (let known = words.length - 1; known > 0; known--) {
    const command = words.slice(0, known)
    if (config.findCommand(command.join(':')) !== undefined)
      return new MigrateError(
        'FM_USAGE',
        `${command.join(' ')} takes no such argument: ${words.slice(known).join(':')}`,
        `${config.bin} ${command.join(' ')} --help shows all.`,
      )
  }
  const name = words.join(' ')
  const plugin = KNOWN_PLUGINS.find(({ commands }) =>
    commands?.some((command) => name === command || name.startsWith(`${command} `)),
  )
  if (plugin !== undefined && !config.plugins.has(plugin.name)) return new MissingPluginError(name, plugin)
  const known = config.commands.filter(({ hidden }) => !hidden).map((command) => command.id.replaceAll(':', ' '))
  const meant = nearest(name, [...known, 'help', 'version'])
  const help = `${config.bin} --help lists all.`
  return new MigrateError(
    'FM_USAGE',
    `there is no command ${name.slice(0, 60)}`,
    meant === undefined ? help : `Did you mean ${config.bin} ${meant}? ${help}`,
  )
}

const commandNotFound: Hook<'command_not_found'> = async ({ id, config }) => {
  const error = unknownCommand(id, config)
  if (error instanceof MissingPluginError && (await offerPlugin(error, config, process.argv))) {
    process.exitCode = await runAgain()
    return
  }
  throw error
}

export default commandNotFound
