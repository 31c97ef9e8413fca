import { type Fence, type FenceKind, MigrateError, type Position } from '@ferrite-migrate/contracts'
import { type Reply, ReplyError } from '@ferrite-migrate/protocol'
import { type RedisLink, readInfo } from '@ferrite-migrate/redis'

/** A pause ends by itself after this long without a refresh, so that a dead tool never keeps writers out for good. */
const PAUSE_MS = 5000

/** One user of an ACL whose writes were forbidden, with the command rules to give back. */
interface FencedUser {
  readonly name: string
  readonly rules: readonly string[]
}

function unavailable(label: string, reason: string): MigrateError {
  return new MigrateError(
    'FM_FENCE_UNAVAILABLE',
    `writers cannot be kept out of ${label}: ${reason}`,
    'Give the user the rights listed in docs/permissions.md, or stop the writers yourself and give --fence none.',
  )
}

/** Finds out which kind of fence the source has and the user may put up; changes nothing. */
async function refusal(link: RedisLink, ...argv: string[]): Promise<string | null> {
  const user = await link.call('ACL', 'WHOAMI').catch(() => null)
  if (user === null) return null
  const dry = await link.call('ACL', 'DRYRUN', String(user), ...argv).catch((error: unknown) => error as ReplyError)
  // Servers before 7 have no DRYRUN: trying tells.
  return dry instanceof ReplyError || String(dry) === 'OK' ? null : String(dry)
}

/** `user name on #hash ~* +@all -flushall`: the name, and the rules about commands in their order. */
function parseUser(line: string): FencedUser | null {
  const words = line.split(' ')
  if (words[0] !== 'user' || words[2] === 'off') return null
  return { name: words[1], rules: words.slice(3).filter((word) => /^[+-]/.test(word) || word === 'allcommands') }
}

async function users(link: RedisLink, label: string): Promise<FencedUser[]> {
  const list = await link.call('ACL', 'LIST').catch((error: unknown) => error as Error)
  if (list instanceof Error || !Array.isArray(list))
    throw unavailable(label, list instanceof Error ? list.message : 'it has no ACL')
  const lines = (list as Reply[]).map(String)
  if (lines.some((line) => line.includes('(')))
    throw unavailable(label, 'a user has selectors, which a rule cannot fence')
  return lines.flatMap((line) => parseUser(line) ?? [])
}

export interface FenceRequest {
  readonly label: string
  /** A connection of its own for as long as the fence stands. */
  open(): Promise<RedisLink>
  /** What the capture calls the place where the source stands; null = it has no such thing. */
  position: ((offset: number) => ReadonlyMap<string, Position>) | null
}

/**
 * Puts up a fence: CLIENT PAUSE .. WRITE, which lets writers wait, or an ACL rule, which refuses them.
 * @throws MigrateError FM_FENCE_UNAVAILABLE
 */
export async function putUpFence(request: FenceRequest, kind: 'auto' | FenceKind, check: boolean): Promise<Fence> {
  const link = await request.open()
  try {
    if (kind !== 'acl') {
      const refused = await refusal(link, 'CLIENT', 'PAUSE', '1', 'WRITE')
      const answer =
        refused ??
        (check
          ? null
          : await link.call('CLIENT', 'PAUSE', PAUSE_MS, 'WRITE').then(
              () => null,
              (error: Error) => error.message,
            ))
      if (answer === null) {
        if (check) link.close()
        return pauseFence(link, request)
      }
      if (kind === 'pause') throw unavailable(request.label, answer.slice(0, 160))
    }
    const fenced = await users(link, request.label)
    const refused = await refusal(link, 'ACL', 'SETUSER', 'default', '-@write')
    if (refused !== null) throw unavailable(request.label, refused.slice(0, 160))
    if (check) link.close()
    else await forbidWrites(link, fenced, request.label)
    return aclFence(link, fenced, request)
  } catch (error) {
    link.close()
    throw error
  }
}

async function standing(link: RedisLink, request: FenceRequest): Promise<ReadonlyMap<string, Position>> {
  if (request.position === null) return new Map()
  const info = await readInfo(link, 'replication')
  const offset = Number(info.get(info.get('role') === 'slave' ? 'slave_repl_offset' : 'master_repl_offset'))
  return request.position(offset)
}

function pauseFence(link: RedisLink, request: FenceRequest): Fence {
  return {
    kind: 'pause',
    note: 'writers wait at the source (CLIENT PAUSE WRITE)',
    positions: () => standing(link, request),
    refresh: async () => {
      await link.call('CLIENT', 'PAUSE', PAUSE_MS, 'WRITE')
    },
    release: async () => {
      await link.call('CLIENT', 'UNPAUSE').catch(() => undefined)
      link.close()
    },
  }
}

async function forbidWrites(link: RedisLink, fenced: readonly FencedUser[], label: string): Promise<void> {
  for (const [i, { name }] of fenced.entries()) {
    const answer = await link.call('ACL', 'SETUSER', name, '-@write').catch((error: unknown) => error as Error)
    if (!(answer instanceof Error)) continue
    await allowWrites(link, fenced.slice(0, i))
    throw unavailable(label, answer.message.slice(0, 160))
  }
}

async function allowWrites(link: RedisLink, fenced: readonly FencedUser[]): Promise<void> {
  for (const { name, rules } of fenced) await link.call('ACL', 'SETUSER', name, 'nocommands', ...rules)
}

function aclFence(link: RedisLink, fenced: readonly FencedUser[], request: FenceRequest): Fence {
  return {
    kind: 'acl',
    note: `writers are refused at the source (ACL SETUSER .. -@write for ${fenced.map(({ name }) => name).join(', ')}; should this process die, give +@write back to them)`,
    positions: () => standing(link, request),
    refresh: async () => undefined,
    release: async () => {
      await allowWrites(link, fenced)
      link.close()
    },
  }
}
