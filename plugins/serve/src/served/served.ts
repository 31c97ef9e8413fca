import { hostname } from 'node:os'
import { MigrationService, type SharedRuns } from '@ferrite-migrate/api'
import { ExitCode, onSignals } from '@ferrite-migrate/cli-kit'
import type { Logger } from '@ferrite-migrate/contracts'
import { passwordVariable, type Registry } from '@ferrite-migrate/core'
import { Access, newToken, tokenOf } from '../http/access.js'
import { HttpServer } from '../http/http-server.js'
import { listenPlace } from '../listen/listen-place.js'

export interface ServedNeeds {
  readonly stateDir: string
  /** Queue whose workers run what is begun here; absent = this machine does. */
  readonly queue?: string
  /** What that queue shares; null = there is none. */
  readonly shared: SharedRuns | null
  readonly registry: Registry
  readonly logger: Logger
  /** Version of the program. */
  readonly version: string
  readonly listen: string
  /** Path of a socket, instead of an address. */
  readonly socket: string | undefined
  readonly tokenFile: string | undefined
  readonly hosts: readonly string[]
  readonly allowHooks: boolean
  readonly allowSecretPlaces: boolean
  /** Folder of the page at /; null = none. */
  readonly page: string | null
}

/** Where a service answers, and what it wants to hear. */
export interface Answering {
  /** Null = a socket. */
  readonly url: string | null
  /** Null = none is wanted, or it is in a file. */
  readonly token: string | null
  /** Others may reach it, and what they say can be read on its way. */
  readonly open: boolean
}

const isLoopback = (host: string): boolean => /^(127\.|::1$|localhost$)/.test(host)

/** A service that answers over HTTP until a signal ends it. */
export class Served {
  private readonly service: MigrationService
  private readonly server: HttpServer
  readonly answering: Answering

  private constructor(service: MigrationService, server: HttpServer, answering: Answering) {
    this.service = service
    this.server = server
    this.answering = answering
  }

  /** @throws MigrateError FM_LISTEN, FM_OPTION_VALUE, FM_SERVE_TOKEN, FM_FILE_UNREADABLE, FM_STATE_DIR */
  static async start(needs: ServedNeeds): Promise<Served> {
    const { listen, socket, tokenFile, hosts, logger, page, allowSecretPlaces } = needs
    const place = listenPlace(listen, '8970')
    const given = tokenFile === undefined ? null : tokenOf(tokenFile)
    // Whoever may open the file of a socket is its owner.
    const token = socket === undefined ? (given ?? newToken()) : given
    const open = socket === undefined && !isLoopback(place.host)
    const names = open ? [hostname(), place.host, ...hosts] : hosts
    // A password of the environment would go to whatever address a client names.
    if (!allowSecretPlaces) for (const end of ['source', 'target'] as const) delete process.env[passwordVariable(end)]
    const service = new MigrationService(needs)
    try {
      const server = await HttpServer.create({ service, logger, access: new Access(token, names), page })
      const url = socket === undefined ? await server.listen(place) : await server.listenAt(socket).then(() => null)
      return new Served(service, server, { url, token: given === null ? token : null, open })
    } catch (error) {
      service.close()
      throw error
    }
  }

  /** Resolves when a signal came, and what was begun here and not detached has written what it had read. */
  async untilSignal(said: (text: string) => void): Promise<void> {
    const signalled = Promise.withResolvers<void>()
    const release = onSignals(
      () => {
        said('Ending: migrations that were begun here and not detached stop at a place where they can go on.')
        signalled.resolve()
      },
      () => process.exit(ExitCode.interrupted),
    )
    await signalled.promise
    await this.service.stop()
    await this.server.close()
    this.service.close()
    release()
  }
}
