import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Target } from '@ferrite-migrate/contracts'
import { Registry, silentLogger } from '@ferrite-migrate/core'
import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { parseEndpoint } from '@ferrite-migrate/redis'
import { findServer, type ServerVersion, TestServer } from '@ferrite-migrate/servers'

export type TargetKind = ServerVersion | 'emulator'

const root = resolve(import.meta.dirname, '..')
const registry = new Registry([
  {
    name: 'target-ferrite',
    root,
    packageJson: JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>,
  },
])

/** Why a kind of server cannot be had here, or null. */
export async function targetMissing(kind: TargetKind): Promise<string | null> {
  const found = await findServer(kind === 'emulator' ? '7.0' : kind)
  return 'reason' in found ? found.reason : null
}

/** This adapter at that address. */
export function openTarget(url: string): Promise<Target> {
  return registry.target(
    url,
    {},
    {},
    { logger: silentLogger, signal: new AbortController().signal, tempDir: mkdtempSync(join(tmpdir(), 'fm-kit-')) },
  )
}

/** A server of one kind that this adapter writes to. */
export class TargetServer {
  /** The server itself; the emulator stands before it. */
  readonly server: TestServer
  readonly url: string
  private readonly emulator: FerriteEmulator | null

  private constructor(server: TestServer, emulator: FerriteEmulator | null) {
    this.server = server
    this.emulator = emulator
    this.url = emulator?.url ?? server.url
  }

  static async start(kind: TargetKind): Promise<TargetServer> {
    const server = await TestServer.start(kind === 'emulator' ? {} : { version: kind })
    return new TargetServer(server, kind === 'emulator' ? await FerriteEmulator.start(parseEndpoint(server.url)) : null)
  }

  open(): Promise<Target> {
    return openTarget(this.url)
  }

  async stop(): Promise<void> {
    await this.emulator?.stop()
    await this.server.stop()
  }
}
