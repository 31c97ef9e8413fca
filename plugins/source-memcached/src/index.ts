import { type AdapterContext, MigrateError, type Source } from '@ferrite-migrate/contracts'
import { openBinarySource } from './binary-source.js'
import type { Client } from './client-value.js'
import { FlagForm, type FlagPolicy } from './flag-form.js'
import { parseEndpoints } from './memcached-endpoint.js'
import { openTextSource } from './text-source.js'

/** @throws MigrateError FM_URL_INVALID, FM_CONFIG_INVALID, FM_CONNECT_*, FM_AUTH_* */
export async function createSource(context: AdapterContext): Promise<Source> {
  const { options } = context
  const endpoints = parseEndpoints(context)
  const policy = options.flags as FlagPolicy
  if (policy === 'decode' && options.client === undefined)
    throw new MigrateError(
      'FM_CONFIG_INVALID',
      'flags mean something else to every client',
      'Say which one wrote the items: --source-option client=php, python, java or dalli.',
    )
  const form = new FlagForm(policy, (options.client as Client | undefined) ?? null)
  return options.protocol === 'binary'
    ? openBinarySource(endpoints, form, context)
    : openTextSource(endpoints, form, context)
}
