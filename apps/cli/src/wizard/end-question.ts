import { formatCount } from '@ferrite-migrate/cli-kit'
import {
  type AdapterContext,
  MigrateError,
  type Source,
  splitConnection,
  type Target,
} from '@ferrite-migrate/contracts'
import type { Registry } from '@ferrite-migrate/core'
import { ask } from './prompts.js'

/** One end as it was answered. */
export interface EndAnswer {
  /** Without a password. */
  readonly url: string
  readonly password: string | undefined
  readonly options: Readonly<Record<string, string>>
}

interface EndQuestion {
  readonly message: string
  readonly fallback: string | undefined
  /** Makes a connection string of what was typed. */
  toUrl(text: string): string
  readonly options: Readonly<Record<string, string>>
}

type Context = Omit<AdapterContext, 'url' | 'options'>

/** Asks for the source until one answers. */
export function askSource(
  question: EndQuestion,
  registry: Registry,
  context: Context,
  say: (text: string) => void,
): Promise<EndAnswer> {
  return askEnd(question, say, async (url, options) => {
    const source = await registry.source(url, { inspect: 'false', 'sync-timeout': '0s' }, options, context)
    try {
      return await aboutSource(source)
    } finally {
      await source[Symbol.asyncDispose]()
    }
  })
}

/** Asks for the target until one answers. */
export function askTarget(
  question: EndQuestion,
  registry: Registry,
  context: Context,
  say: (text: string) => void,
): Promise<EndAnswer> {
  return askEnd(question, say, async (url, options) => {
    const target = await registry.target(url, { 'sync-timeout': '0s' }, options, context)
    try {
      return await aboutTarget(target)
    } finally {
      await target[Symbol.asyncDispose]()
    }
  })
}

async function askEnd(
  { message, fallback, toUrl, options }: EndQuestion,
  say: (text: string) => void,
  look: (url: string, options: Record<string, string>) => Promise<string>,
): Promise<EndAnswer> {
  for (;;) {
    const typed = toUrl(await ask.text(message, fallback))
    const { url, password: given } = splitPassword(typed)
    let password = given
    for (;;) {
      try {
        const known = { ...options, ...(password === undefined ? {} : { password }) }
        say(`  ${await look(url, known)}`)
        return { url, password, options }
      } catch (error) {
        if (!(error instanceof MigrateError)) throw error
        say(`  ${error.message}. ${error.hint}`)
        if (error.code !== 'FM_AUTH_REQUIRED' && !(error.code === 'FM_AUTH_REFUSED' && password !== undefined)) break
        password = await ask.secret('Password:')
      }
    }
  }
}

/** The password of a connection string apart, so that it is neither shown again nor written down. */
function splitPassword(typed: string): { url: string; password: string | undefined } {
  const parts = splitConnection(typed)
  // What cannot be taken apart is refused, with the reason, when it is tried.
  if (parts === null) return { url: typed, password: undefined }
  const { scheme, user, password, place, query } = parts
  if (password === undefined) return { url: typed, password }
  let plain = password
  try {
    plain = decodeURIComponent(password)
  } catch {
    // As it was typed, then.
  }
  return { url: `${scheme}${user === '' ? '' : `${user}@`}${place}${query}`, password: plain }
}

async function aboutSource(source: Source): Promise<string> {
  const { product, version, compression } = source.description
  const reader = source.reader?.()
  const name = [product, version].filter((part) => part !== undefined && part !== '').join(' ')
  if (reader === undefined)
    return `${name}${compression === undefined || compression === 'none' ? '' : `, ${compression}`}: readable.`
  try {
    return `${name}: ${await keysAndLatency(reader)}.`
  } finally {
    await reader.close()
  }
}

async function aboutTarget(target: Target): Promise<string> {
  const reader = target.reader()
  try {
    return `${target.dialect.product}: ${await keysAndLatency(reader)}; values are written by ${target.dialect.rendering}.`
  } finally {
    await reader.close()
  }
}

async function keysAndLatency(reader: { size(): Promise<ReadonlyMap<number, number>> }): Promise<string> {
  await reader.size()
  const startedAt = performance.now()
  let keys = 0
  for (const size of (await reader.size()).values()) keys += size
  return `${formatCount(keys)} keys, answers in ${(performance.now() - startedAt).toFixed(1)} ms`
}
