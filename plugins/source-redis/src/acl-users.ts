import { type Reply, ReplyError } from '@ferrite-migrate/protocol'
import type { RedisLink } from '@ferrite-migrate/redis'

/** One user of an ACL whose writes are forbidden, with the command rules to give back. No password, no hash of one. */
export interface AclUser {
  readonly name: string
  readonly rules: readonly string[]
}

/** `user name on #hash ~* +@all -flushall`: the name, and the rules about commands in their order. */
function parseUser(line: string): AclUser | null {
  const words = line.split(' ')
  if (words[0] !== 'user') return null
  return {
    name: words[1],
    rules: words.slice(3).filter((word) => /^[+-]/.test(word) || word === 'allcommands' || word === 'nocommands'),
  }
}

/** All users who may write, also those that are off now. @throws Error that says why they cannot be had */
export async function aclUsers(link: RedisLink): Promise<AclUser[]> {
  const list = await link.call('ACL', 'LIST').catch((error: unknown) => {
    if (error instanceof ReplyError) return error
    throw error
  })
  if (!Array.isArray(list)) throw new Error(list instanceof ReplyError ? list.message : 'it has no ACL')
  const lines = (list as Reply[]).map(String)
  if (lines.some((line) => line.includes('('))) throw new Error('a user has selectors, which a rule cannot fence')
  return lines.flatMap((line) => parseUser(line) ?? [])
}

/** Gives users the command rules that they had; a user that is gone meanwhile is not made anew. @throws Error when one was refused */
export async function putBackAcl(link: RedisLink, users: readonly AclUser[]): Promise<void> {
  const there = await link.call('ACL', 'USERS')
  const names = new Set(Array.isArray(there) ? there.map(String) : [])
  const left = users.filter(({ name }) => names.has(name))
  const answers = await link.pipeline((out) => {
    for (const { name, rules } of left) out.call('ACL', 'SETUSER', name, 'nocommands', ...rules)
    return left.length
  })
  const refused = answers.find((answer) => answer instanceof ReplyError)
  if (refused instanceof ReplyError) throw refused
}

/** Reads what `JSON.stringify` made of users. @throws Error when it is something else */
export function parseUsers(text: string): AclUser[] {
  const value: unknown = JSON.parse(text)
  if (!Array.isArray(value)) throw new Error('no list of users')
  return value.map((one: unknown) => {
    const { name, rules } = one as { name?: unknown; rules?: unknown }
    if (typeof name !== 'string' || !Array.isArray(rules) || rules.some((rule) => typeof rule !== 'string'))
      throw new Error('no user')
    return { name, rules: rules as string[] }
  })
}
