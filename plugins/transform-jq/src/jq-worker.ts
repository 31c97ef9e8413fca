import { isUtf8 } from 'node:buffer'
import { createRequire } from 'node:module'
import { workerData } from 'node:worker_threads'
import {
  type Frame,
  frameTransfer,
  ImportGate,
  limitMemory,
  type Pass,
  packFrame,
  seal,
  serve,
  unpackFrame,
} from '@ferrite-migrate/sandbox'
import type { JqAnswer } from './index.js'
import { JqOutput } from './jq-output.js'

interface Jq {
  raw(input: string, filter: string, flags: readonly string[]): string | undefined | Promise<string>
}

const { filter, memory } = workerData as { filter: string; memory: number }
const NOTHING = Buffer.alloc(0)
/** What jq calls of JavaScript: its own files, which lie in memory, the time, and its end. */
const LIBRARY = (
  'fd_fdstat_get fd_read fd_close fd_seek __syscall_getcwd __syscall_readlinkat __syscall_stat64 __syscall_lstat64 ' +
  '__syscall_fstat64 __syscall_newfstatat __syscall_openat __syscall_fcntl64 __syscall_ioctl exit proc_exit ' +
  'emscripten_resize_heap emscripten_date_now _emscripten_date_now clock_time_get environ_get environ_sizes_get ' +
  '_tzset_js _gmtime_js _localtime_js _timegm_js _mktime_js strptime strftime __assert_fail abort _abort_js'
).split(' ')

/**
 * Two lines for every value: how many results there are (or what went wrong, as text), and the first of them.
 */
const WRAPPED = `(try [(${filter}
)] catch {"e": (if type == "string" then . else tojson end)}) | if type == "object" then (.e, null) else (length, .[0]) end`

await serve<Frame>(async () => {
  const output = new JqOutput(memory)
  const gate = new ImportGate(
    new Map<string, Pass>([
      ...LIBRARY.map((name): [string, Pass] => [name, 'as it is']),
      [
        'fd_write',
        (write) => (fd, vectors, count, written) => output.write(gate.memory, write, [fd, vectors, count, written]),
      ],
    ]),
  )
  limitMemory(memory)
  // What jq says of a value goes through its result; the rest would be printed by the engine.
  console.warn = () => undefined
  // The engine tells its program's path to filters as an environment variable.
  process.argv = ['jq', 'jq']
  const { raw } = await (createRequire(import.meta.url)('jq-web') as Promise<Jq>)
  const call = (input: string, program: string): string => {
    output.restart()
    if (raw(input, program, ['-c']) instanceof Promise) throw new Error('this version of jq-web answers later')
    return output.text()
  }
  gate.close()
  compile(call)
  seal()

  const run = (texts: readonly string[]): (string | Error)[] => {
    let lines: string[] = []
    let failure = 'it gives no result'
    try {
      const answers = call(texts.join('\n'), WRAPPED)
      lines = answers === '' ? [] : answers.replace(/\n$/, '').split('\n')
    } catch (error) {
      failure = reason(error)
    }
    if (lines.length === texts.length * 2) return texts.map((_, i) => result(lines[2 * i], lines[2 * i + 1]))
    // Something of these made the count wrong (input, halt, an abort): each is looked at alone.
    if (texts.length === 1) return [new Error(`jq: ${failure}`)]
    const half = texts.length >> 1
    return [...run(texts.slice(0, half)), ...run(texts.slice(half))]
  }

  return {
    facts: null,
    handle: (request) => {
      const items = unpackFrame(request)
      const faults: [number, string][] = []
      const texts: string[] = []
      const places: number[] = []
      for (const [i, item] of items.entries()) {
        const text = jsonText(item)
        if (text === null) faults.push([i, 'it is no JSON'])
        else {
          texts.push(text)
          places.push(i)
        }
      }
      const out: Buffer[] = items.map(() => NOTHING)
      for (const [n, one] of (texts.length === 0 ? [] : run(texts)).entries())
        if (one instanceof Error) faults.push([places[n], one.message])
        else out[places[n]] = Buffer.from(one)
      const frame = packFrame(out)
      return { result: { frame, faults } satisfies JqAnswer, transfer: frameTransfer(frame) }
    },
  }
})

/** Compiles it and runs nothing of it: a filter may take for ever. @throws Error with jq's own words */
function compile(call: (input: string, program: string) => string): void {
  for (const program of [`def f: (${filter}\n); 0`, `if . == null then 0 else (${WRAPPED}) end`])
    try {
      call('null', program)
    } catch (error) {
      const text = reason(error)
      if (/compile error|syntax error|is not defined/.test(text)) throw new Error(text)
    }
}

function reason(error: unknown): string {
  const text = (error as Error).message ?? String(error)
  const said = text
    .split('\n')
    .filter((line) => line.trim() !== '' && !/^Non-zero exit code|^jq: \d+ compile error/.test(line))
    .join(' ')
    .replaceAll('jq: error: ', '')
    .replaceAll('jq: ', '')
  return (said || text).slice(0, 300).trim()
}

/** One JSON value as text, or null. Two in one would shift all that follow. */
function jsonText(item: Buffer): string | null {
  if (!isUtf8(item)) return null
  const text = item.toString('utf8')
  try {
    JSON.parse(text)
    return text
  } catch {
    return null
  }
}

function result(status: string, value: string): string | Error {
  if (status === '1') return value
  if (/^\d+$/.test(status))
    return new Error(`jq: the filter gives ${status === '0' ? 'no result' : `${status} results`}, and one is wanted`)
  return new Error(`jq: ${String(JSON.parse(status)).slice(0, 300)}`)
}
