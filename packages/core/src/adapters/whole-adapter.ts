import {
  MigrateError,
  type OpenedSource,
  type OpenedTarget,
  type Source,
  type Target,
} from '@ferrite-migrate/contracts'

function incomplete(kind: string, plugin: string, missing: string): MigrateError {
  return new MigrateError(
    'FM_PLUGIN_FAULT',
    `the ${kind} plugin ${plugin} gave a ${kind} without ${missing}`,
    'This is a fault of the plugin: tell its author. docs/adapter-spec.md lists what a plugin must give.',
  )
}

function isObject(value: unknown): value is Record<PropertyKey, unknown> {
  return typeof value === 'object' && value !== null
}

/** Gives an adapter that nothing has to be released of the method by which that is done. */
function disposable<T extends object>(adapter: T): T & AsyncDisposable {
  return Symbol.asyncDispose in adapter
    ? (adapter as T & AsyncDisposable)
    : Object.assign(adapter, { [Symbol.asyncDispose]: async () => {} })
}

/** What a plugin gave as a source, if it is one. @throws MigrateError FM_PLUGIN_FAULT naming what is missing */
export function wholeSource(source: OpenedSource, plugin: string): Source {
  const given: unknown = source
  if (!isObject(given)) throw incomplete('source', plugin, 'anything in it')
  if (!isObject(given.capabilities)) throw incomplete('source', plugin, '`capabilities`')
  if (!isObject(given.description)) throw incomplete('source', plugin, '`description`')
  if (!Array.isArray(given.shards) || given.shards.length === 0)
    throw incomplete('source', plugin, 'a shard in `shards`')
  for (const shard of given.shards as unknown[])
    if (!isObject(shard) || typeof shard.id !== 'string' || shard.id === '' || typeof shard.read !== 'function')
      throw incomplete('source', plugin, '`id` and `read` in each of its shards')
  if (new Set(source.shards.map(({ id }) => id)).size < source.shards.length)
    throw incomplete('source', plugin, 'different ids for its shards')
  return disposable(source)
}

/** What a plugin gave as a target, if it is one. @throws MigrateError FM_PLUGIN_FAULT naming what is missing */
export function wholeTarget(target: OpenedTarget, plugin: string): Target {
  const given: unknown = target
  if (!isObject(given)) throw incomplete('target', plugin, 'anything in it')
  if (!isObject(given.dialect)) throw incomplete('target', plugin, '`dialect`')
  for (const method of ['write', 'checkpoint', 'forget', 'reader'])
    if (typeof given[method] !== 'function') throw incomplete('target', plugin, `\`${method}\``)
  return disposable(target)
}
