import type { Hook } from '@oclif/core'

/** What oclif takes for the name of a command may be a word too many behind one. */
const commandNotFound: Hook<'command_not_found'> = async function ({ id, config }) {
  const words = id.split(':')
  for (let known = words.length - 1; known > 0; known--)
    if (config.findCommand(words.slice(0, known).join(':')) !== undefined)
      this.error(
        `${words.slice(0, known).join(' ')} takes no such argument: ${words.slice(known).join(':')} (see ${config.bin} ${words.slice(0, known).join(' ')} --help)`,
        { exit: 2 },
      )
  this.error(`there is no command ${words.join(' ')} (see ${config.bin} --help)`, { exit: 2 })
}

export default commandNotFound
