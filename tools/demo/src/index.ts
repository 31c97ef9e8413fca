import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { fill, Writer } from '@ferrite-migrate/bench'
import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { parseEndpoint } from '@ferrite-migrate/redis'
import { findServer, TestServer } from '@ferrite-migrate/servers'

/** The main job before a newcomer's eyes: a live Redis moves into a Ferrite while a writer keeps writing. */
const KEYS = 50_000
const WRITES_PER_SECOND = 2000
const root = resolve(import.meta.dirname, '..', '..', '..')

const stops: (() => Promise<void>)[] = []
let code = 1
try {
  const source = await TestServer.start()
  stops.push(() => source.stop())
  const ferrite = await findServer('ferrite')
  let target: string
  if ('program' in ferrite) {
    const server = await TestServer.start({ version: 'ferrite' })
    stops.push(() => server.stop())
    target = `ferrite://127.0.0.1:${server.port}`
    console.log(`Target: Ferrite at ${target}`)
  } else {
    const backend = await TestServer.start()
    stops.push(() => backend.stop())
    const emulator = await FerriteEmulator.start(parseEndpoint(backend.url))
    stops.push(() => emulator.stop())
    target = emulator.url
    console.log(`Target: a Ferrite emulator at ${target} (set FERRITE_BIN to use a real one)`)
  }
  console.log(
    `Source: ${source.version === 'valkey-9.1' ? 'Valkey' : 'Redis'} at ${source.url}, filled with ${KEYS} keys`,
  )
  await fill(parseEndpoint(source.url), 'mixed', KEYS)

  const writer = await Writer.start(parseEndpoint(source.url), WRITES_PER_SECOND)
  stops.unshift(() => writer.stop())
  console.log(`A writer changes the source ${WRITES_PER_SECOND} times a second throughout.\n`)
  const command = ['--source', source.url, '--target', target, '--mode', 'live', '--exit', '--verify']
  console.log(`$ ferrite-migrate ${command.join(' ')}\n`)
  const child = spawn(
    process.execPath,
    [resolve(root, 'apps/ferrite-migrate/bin/run.js'), ...command, '--state-dir', source.directory],
    { stdio: 'inherit' },
  )
  code = await new Promise<number>((done) => child.once('exit', (status) => done(status ?? 1)))
  await writer.stop()
  console.log(`\nThe writer wrote ${writer.written.toLocaleString('en-US')} times meanwhile.`)
  console.log(
    code === 0
      ? 'Demo: the target was equal to the source while the source was being written to.'
      : `Demo failed with exit code ${code}.`,
  )
} finally {
  for (const stop of stops) await stop()
}
process.exitCode = code
