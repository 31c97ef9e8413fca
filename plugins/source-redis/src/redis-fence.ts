import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ChangeLedger,
  type Fence,
  type FenceKind,
  type Loan,
  MigrateError,
  type Position,
} from '@ferrite-migrate/contracts'
import { type Reply, ReplyError } from '@ferrite-migrate/protocol'
import { type RedisLink, readInfo } from '@ferrite-migrate/redis'
import { type AclUser, aclUsers, putBackAcl } from './acl-users.js'

/** A pause ends by itself after this long without a refresh, so that a dead tool never keeps writers out for good. */
const PAUSE_MS = 5000
/** How long a fence is tried to be taken down, over new connections where the former is lost, and the wait between two tries. */
const RELEASE_MS = 30_000
const AGAIN_MS = 300

function unavailable(label: string, reason: string): MigrateError {
  return new MigrateError(
    'FM_FENCE_UNAVAILABLE',
    `writers cannot be kept out of ${label}: ${reason}`,
    'Give the user the rights listed in docs/permissions.md, or stop the writers yourself and give --fence none.',
  )
}

/** Finds out whether the user may run this; changes nothing. Null = it may, or only trying tells. */
async function refusal(link: RedisLink, ...argv: string[]): Promise<string | null> {
  const user = await link.call('ACL', 'WHOAMI').catch(() => null)
  if (user === null) return null
  const dry = await link.call('ACL', 'DRYRUN', String(user), ...argv).catch((error: unknown) => error as ReplyError)
  // Servers before 7 have no DRYRUN: trying tells.
  return dry instanceof ReplyError || String(dry) === 'OK' ? null : String(dry)
}

export interface FenceRequest {
  readonly label: string
  /** A new connection of its own. */
  open(): Promise<RedisLink>
  /** True when another server has become the one to write to. */
  moved(): boolean
  /** What the capture calls the place where the source stands; null = it has no such thing. */
  position: ((offset: number) => ReadonlyMap<string, Position>) | null
  /** Where what is changed at the source is written down first. */
  /** Who the server is, whatever its address. */
  readonly server: string
  readonly ledger: ChangeLedger | undefined
}

/** One connection that is made anew when it is lost. */
class FenceLink {
  private readonly request: FenceRequest
  private link: RedisLink | null = null

  constructor(request: FenceRequest) {
    this.request = request
  }

  async get(): Promise<RedisLink> {
    if (this.link === null) {
      const link = await this.request.open()
      this.link = link
      void link.closed.then(() => {
        if (this.link === link) this.link = null
      })
    }
    return this.link
  }

  async once(use: (link: RedisLink) => Promise<unknown>): Promise<void> {
    await use(await this.get())
  }

  /** Tries until it works: what was put up has to come down. @throws the last failure */
  async persist(use: (link: RedisLink) => Promise<unknown>): Promise<void> {
    const deadline = performance.now() + RELEASE_MS
    for (;;)
      try {
        await use(await this.get())
        return
      } catch (error) {
        if (performance.now() > deadline) throw error
        await sleep(AGAIN_MS)
      }
  }

  close(): void {
    this.link?.close()
  }
}

/**
 * Puts up a fence: CLIENT PAUSE .. WRITE, which lets writers wait, or an ACL rule, which refuses them.
 * @throws MigrateError FM_FENCE_UNAVAILABLE
 */
export async function putUpFence(request: FenceRequest, kind: 'auto' | FenceKind, check: boolean): Promise<Fence> {
  const links = new FenceLink(request)
  try {
    const link = await links.get()
    if (kind !== 'acl') {
      const refused = (await refusal(link, 'CLIENT', 'PAUSE', '1', 'WRITE')) ?? (check ? null : await pause(link))
      if (refused === null) {
        if (check) links.close()
        return pauseFence(links, request)
      }
      if (kind === 'pause') throw unavailable(request.label, refused.slice(0, 160))
    }
    const fenced = await aclUsers(link).catch((error: Error) => {
      throw unavailable(request.label, error.message)
    })
    const refused = await refusal(link, 'ACL', 'SETUSER', 'default', '-@write')
    if (refused !== null) throw unavailable(request.label, refused.slice(0, 160))
    if (check) {
      links.close()
      return aclFence(links, fenced, null, request)
    }
    const [other] = request.ledger?.others('acl', request.server) ?? []
    if (other !== undefined)
      throw unavailable(
        request.label,
        `the migration ${other.migration} keeps writers out there now, and what it took would be taken for their own rights (cutover --id ${other.migration} --release)`,
      )
    // Written down before the first rule is changed: whoever finds it knows what to give back.
    const loan = request.ledger?.lend('acl', JSON.stringify(fenced), request.server) ?? null
    await forbidWrites(links, fenced, loan, request.label)
    return aclFence(links, fenced, loan, request)
  } catch (error) {
    links.close()
    throw error
  }
}

/** Null when writers wait now, else why not. */
async function pause(link: RedisLink): Promise<string | null> {
  return link.call('CLIENT', 'PAUSE', PAUSE_MS, 'WRITE').then(
    () => null,
    (error: unknown) => {
      if (error instanceof ReplyError) return error.message
      throw error
    },
  )
}

/** @throws MigrateError FM_SENTINEL_MOVED: what was fenced is not what is written to */
function mustStay(request: FenceRequest): void {
  if (request.moved())
    throw new MigrateError(
      'FM_SENTINEL_MOVED',
      `another server has become the primary of ${request.label} while writers were kept out of the former one`,
      'Look at the log of the sentinels; when the new primary stands, cut over again.',
    )
}

async function standing(links: FenceLink, request: FenceRequest): Promise<ReadonlyMap<string, Position>> {
  mustStay(request)
  if (request.position === null) return new Map()
  const info = await readInfo(await links.get(), 'replication')
  mustStay(request)
  const offset = Number(info.get(info.get('role') === 'slave' ? 'slave_repl_offset' : 'master_repl_offset'))
  return request.position(offset)
}

function pauseFence(links: FenceLink, request: FenceRequest): Fence {
  let refreshedAt = performance.now()
  let wallAt = Date.now()
  let fell = false
  /** A pause that was not renewed in time has ended by itself, whichever clock tells. */
  const look = (): void => {
    if (performance.now() - refreshedAt > PAUSE_MS || Date.now() - wallAt > PAUSE_MS) fell = true
  }
  return {
    kind: 'pause',
    note: 'writers wait at the source (CLIENT PAUSE WRITE)',
    positions: () => standing(links, request),
    refresh: async () => {
      const sentAt = performance.now()
      const sentWall = Date.now()
      look()
      const refused = await pause(await links.get())
      if (refused !== null) throw unavailable(request.label, refused.slice(0, 160))
      look()
      refreshedAt = sentAt
      wallAt = sentWall
    },
    fell: () => {
      look()
      return fell || request.moved()
    },
    release: async () => {
      // A server that was replaced may be gone for good, and its pause ends by itself.
      const tell = request.moved() ? links.once.bind(links) : links.persist.bind(links)
      await tell((link) => link.call('CLIENT', 'UNPAUSE')).catch(() => undefined)
      links.close()
    },
  }
}

async function forbidWrites(
  links: FenceLink,
  fenced: readonly AclUser[],
  loan: Loan | null,
  label: string,
): Promise<void> {
  const link = await links.get()
  const answers: Reply[] = await link.pipeline((out) => {
    for (const { name } of fenced) out.call('ACL', 'SETUSER', name, '-@write')
    return fenced.length
  })
  const refused = answers.find((answer) => answer instanceof ReplyError)
  if (!(refused instanceof ReplyError)) return
  await links.persist((open) => putBackAcl(open, fenced))
  loan?.settled()
  throw unavailable(label, refused.message.slice(0, 160))
}

function aclFence(links: FenceLink, fenced: readonly AclUser[], loan: Loan | null, request: FenceRequest): Fence {
  return {
    kind: 'acl',
    note: `writers are refused at the source (ACL SETUSER .. -@write for ${fenced.map(({ name }) => name).join(', ')}; should this process die, cutover --release gives them back what they had)`,
    positions: () => standing(links, request),
    refresh: async () => undefined,
    fell: () => request.moved(),
    keep: () => {
      loan?.keep()
      links.close()
    },
    release: async () => {
      await links.persist((link) => putBackAcl(link, fenced))
      loan?.settled()
      links.close()
    },
  }
}
