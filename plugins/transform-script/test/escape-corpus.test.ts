import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loaded } from './loaded.js'

interface Attempt {
  readonly name: string
  readonly engine: 'python' | 'javascript'
  /** What would show that it got out: an answer, a file, a connection, a signal, memory or time beyond the limit. */
  readonly proof: 'output' | 'file' | 'connect' | 'kill' | 'memory' | 'time'
  readonly what: string
  readonly code: string
}

const CORPUS = JSON.parse(readFileSync(new URL('./escape-corpus.json', import.meta.url), 'utf8')) as Attempt[]
/** Attempts put it together themselves, so that no message that quotes their code holds it. */
const MARKER = 'ESCAPED'
const SECRET = 'only-in-the-environment'

const directory = mkdtempSync(join(tmpdir(), 'fm-escape-'))
const FILE = join(directory, 'written')
let victim: ChildProcess
let server: Server
let connections = 0

function prepared({ code }: Attempt): string {
  const { port } = server.address() as { port: number }
  return code
    .replaceAll('$VICTIM_PID', String(victim.pid))
    .replaceAll('$HOSTPID', String(process.pid))
    .replaceAll('$PPID', String(process.ppid))
    .replaceAll('$FILE', FILE)
    .replaceAll('$PORT', String(port))
    .replaceAll('$SECRET', SECRET)
}

function nothingHappened(): void {
  expect(existsSync(FILE)).toBe(false)
  expect(connections).toBe(0)
  expect(victim.exitCode ?? victim.signalCode).toBeNull()
}

/** Runs what it is given as a script of its own; a helper of the tests, not of the attempts. */
const RUNS_ATTEMPTS = `
def transform_value(key, value, kind):
    code = value if isinstance(value, str) else bytes(value).decode()
    space = {'__name__': 'attempt'}
    exec(compile(code, 'attempt', 'exec'), space)
    return space['transform_value'](key, 'v', kind)
`

beforeAll(async () => {
  process.env.FM_ESCAPE = SECRET
  victim = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)'], { stdio: 'ignore' })
  server = createServer((socket) => {
    connections++
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})

afterAll(async () => {
  victim.kill('SIGKILL')
  await new Promise((resolve) => server.close(resolve))
  rmSync(directory, { recursive: true })
})

const of = (engine: Attempt['engine'], ...proofs: Attempt['proof'][]): Attempt[] =>
  CORPUS.filter((one) => one.engine === engine && proofs.includes(one.proof))

describe('the escape corpus', () => {
  it('of Python reaches nothing, one attempt after the other in one engine', async () => {
    const attempts = of('python', 'output', 'file', 'connect', 'kill')
    expect(attempts.length).toBeGreaterThan(50)
    await using script = await loaded('corpus.py', RUNS_ATTEMPTS, { timeout: 4000 })
    for (const attempt of attempts) {
      const [answer] = await script.ask(prepared(attempt)).catch((error: unknown) => [error as Error])
      const text = answer instanceof Error ? answer.message : String(answer)
      expect([attempt.name, text.includes(MARKER)]).toEqual([attempt.name, false])
      nothingHappened()
    }
    expect(script.log.join('\n')).not.toContain(MARKER)
  })

  for (const attempt of of('python', 'memory', 'time').concat(CORPUS.filter(({ engine }) => engine === 'javascript')))
    it(`of ${attempt.engine} stays inside: ${attempt.what} (${attempt.name})`, async () => {
      const before = process.memoryUsage.rss()
      const name = attempt.engine === 'python' ? 'attempt.py' : 'attempt.js'
      let text: string
      try {
        await using script = await loaded(name, prepared(attempt), { memory: 64 << 20, timeout: 1500 })
        const [answer] = await script.ask('v')
        text = answer instanceof Error ? answer.message : String(answer)
        text += script.log.join('\n')
      } catch (error) {
        text = (error as Error).message
      }
      expect(text).not.toContain(MARKER)
      if (attempt.proof === 'memory') expect(process.memoryUsage.rss() - before).toBeLessThan(900 << 20)
      nothingHappened()
    })
})
