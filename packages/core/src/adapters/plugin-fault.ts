import { MigrateError } from '@ferrite-migrate/contracts'

/**
 * What a plugin threw that is none of its own errors: a fault of the plugin, not of this tool.
 * @param what it did then, as the end of a sentence
 */
export function pluginFault(kind: string, plugin: string, what: string, cause: unknown): MigrateError {
  const { name, message } = cause instanceof Error ? cause : { name: 'Error', message: String(cause) }
  return new MigrateError(
    'FM_PLUGIN_FAULT',
    `the ${kind} plugin ${plugin} ${what}: ${name}: ${message.split('\n')[0]}`,
    'This is a fault of the plugin: reinstall it, or tell its author (-v shows where).',
    { cause },
  )
}
