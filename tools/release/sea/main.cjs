// What the single executable runs first. It holds the program as one compressed file, unpacks it once into the user's cache, and
// becomes a plain Node that runs it from there: threads, processes and their rights are then exactly those of an installation by npm.
// CommonJS, and nothing but what Node has: it is put into the executable as it is.
'use strict'
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const zlib = require('node:zlib')
const { spawn, spawnSync } = require('node:child_process')
const { getAsset } = require('node:sea')

/** Says that an executable holds a program; in the Node that is unpacked it is off. In pieces: whole it may stand in a binary once. */
const FUSE = Buffer.from(['NODE_SEA_FUSE', 'fce680ab2cc467b6e072b8b5df1996b2:1'].join('_'))

const own = JSON.parse(getAsset('about.json', 'utf8'))
const node = process.platform === 'win32' ? 'node.exe' : 'node'

function fail(what, hint) {
  process.stderr.write(`Error FM_UNPACK: ${what}\n  ${hint}\n`)
  process.exit(1)
}

function cacheRoot() {
  const { FERRITE_MIGRATE_CACHE_DIR, XDG_CACHE_HOME, LOCALAPPDATA, HOME } = process.env
  if (FERRITE_MIGRATE_CACHE_DIR) return FERRITE_MIGRATE_CACHE_DIR
  if (process.platform === 'win32' && LOCALAPPDATA) return path.join(LOCALAPPDATA, 'ferrite-migrate')
  return path.join(XDG_CACHE_HOME || path.join(HOME || os.homedir(), '.cache'), 'ferrite-migrate')
}

/** Code that others could put there would run with our rights. */
function mustBeOurs(folder) {
  if (process.getuid === undefined) return
  const { uid, mode } = fs.statSync(folder)
  if (uid !== process.getuid())
    fail(`${folder} is somebody else's`, 'Name a folder of your own in FERRITE_MIGRATE_CACHE_DIR.')
  if ((mode & 0o022) !== 0)
    fail(
      `${folder} can be written to by others`,
      `Take that away (chmod 700 ${folder}), or name another folder in FERRITE_MIGRATE_CACHE_DIR.`,
    )
}

/** Each folder by itself: `recursive` tries for ever where a file system makes none. */
function makeFolder(folder) {
  if (fs.existsSync(folder)) return
  const above = path.dirname(folder)
  if (above !== folder) makeFolder(above)
  try {
    fs.mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
  }
}

function writeNode(file) {
  if (own.node) {
    fs.writeFileSync(file, zlib.zstdDecompressSync(Buffer.from(getAsset('node.zst'))), { mode: 0o700 })
    return
  }
  // This one, without what makes it more than a Node: what is put into it is not looked at then.
  const binary = fs.readFileSync(process.execPath)
  for (let at = binary.indexOf(FUSE); at >= 0; at = binary.indexOf(FUSE, at + 1)) binary[at + FUSE.length - 1] = 0x30
  fs.writeFileSync(file, binary, { mode: 0o700 })
}

/** What a start that was killed has left: its process is gone, or it would have had its hour. */
function clearLeft(root) {
  for (const name of fs.readdirSync(root)) {
    const path = name.startsWith('program-') && /\.\w{6}$/.test(name) ? `${root}/${name}` : null
    if (path !== null && Date.now() - fs.statSync(path).mtimeMs > 3_600_000)
      fs.rmSync(path, { recursive: true, force: true })
  }
}

/** Everything is there, as far as a look at names and lengths can tell; the last file that is written says so. */
function isWhole(folder) {
  try {
    if (fs.readFileSync(path.join(folder, 'files'), 'utf8') !== own.digest) return false
    fs.accessSync(path.join(folder, node), fs.constants.X_OK)
    return fs.statSync(path.join(folder, node)).size > 0 && fs.existsSync(path.join(folder, ...own.main))
  } catch {
    return false
  }
}

function unpack(folder) {
  const part = fs.mkdtempSync(`${folder}.`)
  try {
    const whole = zlib.zstdDecompressSync(Buffer.from(getAsset('program.zst')))
    const head = whole.readUInt32LE(0)
    const files = JSON.parse(whole.toString('utf8', 4, 4 + head))
    let at = 4 + head
    const made = new Set()
    for (const [name, length] of files) {
      const file = path.join(part, name)
      const above = path.dirname(file)
      if (!made.has(above)) {
        makeFolder(above)
        made.add(above)
      }
      fs.writeFileSync(file, whole.subarray(at, at + length), { mode: 0o600 })
      at += length
    }
    writeNode(path.join(part, node))
    fs.writeFileSync(path.join(part, 'LICENSE.node'), getAsset('LICENSE.node', 'utf8'))
    fs.writeFileSync(path.join(part, 'files'), own.digest, { mode: 0o600 })
    // What others have damaged there is in the way; whoever runs from it keeps what is open.
    if (fs.existsSync(folder) && !isWhole(folder)) fs.renameSync(folder, `${part}.old`)
    try {
      fs.renameSync(part, folder)
    } catch (error) {
      // Another start was quicker; it is the same.
      if (!isWhole(folder)) throw error
    } finally {
      fs.rmSync(`${part}.old`, { recursive: true, force: true })
    }
  } finally {
    fs.rmSync(part, { recursive: true, force: true })
  }
}

/** To become another program has no error of its own: where none may run, it ends the process with a stack of Node's. */
function mustRun(folder) {
  const { error } = spawnSync(path.join(folder, node), ['--version'], { env: {}, stdio: 'ignore' })
  if (error === undefined) return
  fs.rmSync(folder, { recursive: true, force: true })
  fail(
    `nothing can be run from ${folder}: ${error.code}`,
    'Is it mounted without that right (noexec)? Name another folder in FERRITE_MIGRATE_CACHE_DIR.',
  )
}

function main() {
  let folder = 'a cache'
  try {
    const root = cacheRoot()
    folder = path.join(root, `program-${own.version}-${own.digest.slice(0, 16)}`)
    if (!isWhole(folder)) {
      makeFolder(root)
      mustBeOurs(root)
      clearLeft(root)
      unpack(folder)
      mustRun(folder)
    }
    mustBeOurs(folder)
  } catch (error) {
    fail(
      `the program cannot be unpacked into ${folder}: ${error.message}`,
      'Make room there, or name another folder in FERRITE_MIGRATE_CACHE_DIR.',
    )
  }
  const program = path.join(folder, node)
  const args = [path.join(folder, ...own.main), ...process.argv.slice(2)]
  const env = { ...process.env, FERRITE_MIGRATE_EXECUTABLE: process.execPath }
  if (process.platform !== 'win32') {
    process.removeAllListeners('warning')
    process.on('warning', () => undefined)
    process.execve(program, [program, ...args], env)
  }
  const child = spawn(program, args, { stdio: 'inherit', env })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code) => process.exit(code ?? 1))
}

main()
