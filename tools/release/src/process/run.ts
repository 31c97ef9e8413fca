import { spawn } from 'node:child_process'
import { once } from 'node:events'

export interface Ran {
  /** Null = it was ended by a signal. */
  readonly code: number | null
  /** Standard output and standard error as they came. */
  readonly output: string
  /** Standard output alone. */
  readonly told: string
}

export interface RunOptions {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  /** Given on standard input, which is empty otherwise. */
  readonly input?: string
  /** Longer than this it is ended, ms. Default 120 s. */
  readonly timeoutMs?: number
}

const TIMEOUT_MS = 120_000

/** Runs a program to its end. What configures the npm that runs this script is not handed on. */
export async function run(program: string, args: readonly string[], options: RunOptions): Promise<Ran> {
  const { cwd, env = {}, input = '', timeoutMs = TIMEOUT_MS } = options
  const inherited = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_OPTIONS$|INIT_CWD$)/i.test(name))
  // On Windows npm is a script, which wants a shell.
  const shell = process.platform === 'win32' && /^(npm|npx)$/.test(program)
  const child = spawn(program, args, { cwd, shell, env: { ...Object.fromEntries(inherited), ...env } })
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  let output = ''
  let told = ''
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString('utf8')
    told += data.toString('utf8')
  })
  child.stderr.on('data', (data: Buffer) => {
    output += data.toString('utf8')
  })
  child.stdin.on('error', () => undefined).end(input)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(timer)
  return { code, output, told }
}

/** Runs a program that has to end well. @throws Error with what it printed */
export async function must(program: string, args: readonly string[], options: RunOptions): Promise<Ran> {
  const ran = await run(program, args, options)
  if (ran.code !== 0)
    throw new Error(`${program} ${args.join(' ')} ended with ${ran.code}:\n${ran.output.slice(-4000)}`)
  return ran
}
