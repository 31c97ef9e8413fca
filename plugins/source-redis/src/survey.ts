import type { SourceSurvey } from '@ferrite-migrate/contracts'
import type { ReplyError } from '@ferrite-migrate/protocol'
import { keyspaceSizes, type RedisLink, readInfo } from '@ferrite-migrate/redis'
import { examineSource } from './preflight.js'

/** Asks a server what it is, what it holds and what it is used for; changes nothing. */
export async function surveySource(link: RedisLink): Promise<SourceSurvey> {
  const facts = await examineSource(link)
  const keys = keyspaceSizes(await readInfo(link, 'keyspace'))
  const commands = new Map<string, number>()
  const statistics = await readInfo(link, 'commandstats').catch(() => new Map<string, string>())
  for (const [name, value] of statistics) {
    const calls = Number(/calls=(\d+)/.exec(value)?.[1] ?? 0)
    // `cmdstat_config|get`: a subcommand belongs to its command.
    const command = name
      .replace(/^cmdstat_/, '')
      .split('|')[0]
      .toUpperCase()
    if (calls > 0) commands.set(command, (commands.get(command) ?? 0) + calls)
  }
  const memory = await readInfo(link, 'memory').catch(() => new Map<string, string>())
  const users = await link.call('ACL', 'USERS').catch((error: unknown) => error as ReplyError)
  return {
    product: facts.product,
    version: facts.version,
    keys,
    usedMemory: facts.usedMemory,
    commands,
    modules: facts.modules,
    functions: facts.functions,
    scripts: Number(memory.get('number_of_cached_scripts') ?? 0),
    users: Array.isArray(users) ? Math.max(0, users.length - 1) : 0,
    role: facts.role,
    cluster: facts.cluster,
  }
}
