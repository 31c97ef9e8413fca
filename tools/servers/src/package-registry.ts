import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const ROOT = resolve(import.meta.dirname, '..', '..', '..')
/** Packing takes half a second each. */
const AT_ONCE = 4

interface Manifest {
  readonly name: string
  readonly version: string
  readonly [field: string]: unknown
}

interface Published {
  readonly manifest: Manifest
  readonly tarball: Buffer
}

/**
 * A registry of npm packages on loopback, which has the packages of this workspace as they would be published; others it leaves to
 * the registry that npm uses.
 */
export class PackageRegistry {
  readonly url: string
  private readonly server: Server
  private readonly packages = new Map<string, Published>()
  private readonly others: string

  private constructor(server: Server, url: string, others: string) {
    this.server = server
    this.url = url
    this.others = others.replace(/\/$/, '')
  }

  /** With all packages of this workspace that are published. */
  static async start(): Promise<PackageRegistry> {
    const { stdout } = await run('npm', ['config', 'get', 'registry'])
    const server = createServer()
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('the registry has no port')
    const registry = new PackageRegistry(server, `http://127.0.0.1:${address.port}`, stdout.trim())
    server.on('request', (request, response) => registry.answer(request, response))
    const folders = globSync('{packages,plugins,apps}/*/package.json', { cwd: ROOT }).map((file) =>
      join(ROOT, dirname(file)),
    )
    for (let at = 0; at < folders.length; at += AT_ONCE)
      await Promise.all(folders.slice(at, at + AT_ONCE).map((folder) => registry.publish(folder)))
    return registry
  }

  /** Packs a folder and publishes it. */
  async publish(folder: string): Promise<Manifest> {
    const directory = mkdtempSync(join(tmpdir(), 'fm-pack-'))
    try {
      const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', directory], {
        cwd: folder,
        maxBuffer: 64 << 20,
      })
      const [{ filename }] = JSON.parse(stdout) as { filename: string }[]
      const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
      this.packages.set(manifest.name, { manifest, tarball: readFileSync(join(directory, filename)) })
      return manifest
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }

  /** Bytes of a package as it is published. */
  bytesOf(name: string): number {
    return this.packages.get(name)?.tarball.length ?? 0
  }

  get names(): readonly string[] {
    return [...this.packages.keys()]
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((done) => this.server.close(done))
  }

  private answer({ url = '/' }: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(url.split('?')[0]).slice(1)
    const asked = path.replace(/\/-\/.*$/, '')
    const found = this.packages.get(asked)
    if (found === undefined) {
      response.writeHead(302, { location: `${this.others}${url}` }).end()
      return
    }
    const { manifest, tarball } = found
    const { name, version } = manifest
    if (path !== asked) {
      response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(tarball)
      return
    }
    const dist = {
      tarball: `${this.url}/${name}/-/${name.split('/').at(-1)}-${version}.tgz`,
      integrity: `sha512-${createHash('sha512').update(tarball).digest('base64')}`,
      shasum: createHash('sha1').update(tarball).digest('hex'),
    }
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ name, 'dist-tags': { latest: version }, versions: { [version]: { ...manifest, dist } } }))
  }
}
