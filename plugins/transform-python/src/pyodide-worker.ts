import { constants } from 'node:fs'
import { workerData } from 'node:worker_threads'
import type { ScriptFacts, ScriptRequest } from '@ferrite-migrate/sandbox'
import {
  answerTransfer,
  fromJson,
  ImportGate,
  limitMemory,
  logLine,
  type Pass,
  type Passes,
  SandboxError,
  seal,
  serve,
  toJson,
} from '@ferrite-migrate/sandbox'
import { loadPyodide } from 'pyodide'
import { interruptBuffer } from './interrupt-buffer.js'
import { OutOfMemory, PythonCalls, pythonModule } from './python-calls.js'
import { PYTHON_PRELUDE } from './python-prelude.js'

const { source, file, memory, timeoutMs, interrupt } = workerData as {
  source: string
  file: string
  memory: number
  timeoutMs: number
  interrupt: Uint8Array
}
/** What CPython takes beside what the script may take. */
const ENGINE_BYTES = 64 << 20

/** Characters of a line of the log, and bytes looked at of one write. */
const MOST_LINE = 4000
const MOST_PRINTED = 64 << 10

/** What opening a file may not ask for: to write, to make it, to empty it. */
const WRITES = 0o3 | 0o100 | 0o1000
const EPERM = 63
/** What Python calls of JavaScript as it is once it is loaded: its own library, which lies in memory. */
const LIBRARY = (
  '_Py_CheckEmscriptenSignals_Helper emscripten_resize_heap __syscall_stat64 __syscall_lstat64 __syscall_newfstatat ' +
  '__syscall_fstat64 __syscall_getcwd __syscall_getdents64 __syscall_readlinkat __syscall_faccessat fd_close fd_read fd_seek'
).split(' ')
const PASSES: Passes = new Map<string, Pass>([
  ...LIBRARY.map((name): [string, Pass] => [name, 'as it is']),
  [
    '__syscall_openat',
    (open) =>
      (...parts) =>
        ((parts[2] ?? 0) & WRITES) === 0 ? open(...parts) : -EPERM,
  ],
  // To the log.
  [
    'fd_write',
    (write) =>
      (...parts) =>
        parts[0] === 1 || parts[0] === 2 ? write(...parts) : EPERM,
  ],
])

await serve<ScriptRequest>(async () => {
  const gate = new ImportGate(PASSES)
  // Pyodide asks it for these numbers, and a process without rights has no such function.
  Object.defineProperty(process, 'binding', { value: () => ({ fs: constants }), configurable: true, writable: true })
  limitMemory(memory + ENGINE_BYTES)
  const python = await loadPyodide({
    // The module `js` sees these and nothing else.
    jsglobals: Object.create(null) as object,
    // No path of this machine.
    _sysExecutable: '/bin/python',
    env: { HOME: '/home/pyodide', PYTHONHASHSEED: '0' },
  })
  python.setStdin({ error: true })
  // The engine's own line buffer has no end.
  python.setStdout({ write: lines() })
  python.setStderr({ write: lines() })
  for (const device of ['urandom', 'random', 'tty', 'tty1'])
    try {
      python.FS.unlink(`/dev/${device}`)
    } catch {
      // It is not there.
    }
  python.runPython(PYTHON_PRELUDE)
  python.runPython(
    `_machine = _Machine(${JSON.stringify(file)})\n_load, _keys, _values = (_machine.asked(m) for m in (_machine.load, _machine.keys, _machine.values))\n_close()`,
  )
  python.setInterruptBuffer(interruptBuffer(interrupt))
  const calls = new PythonCalls(pythonModule(python))
  const functions = { load: calls.find('_load'), keys: calls.find('_keys'), values: calls.find('_values') }
  seal()
  gate.close()

  const ask = (name: keyof typeof functions, text: string): string => {
    let answer: string
    try {
      answer = calls.call(functions[name], text)
    } catch (error) {
      if (error instanceof OutOfMemory) throw new Error(error.message)
      // What is not Python's, a way out that was tried for instance, is the end of the engine.
      throw new SandboxError('crash', (error as Error).message)
    }
    if (answer.startsWith('=')) return answer.slice(1)
    if (/KeyboardInterrupt/.test(answer)) {
      interrupt[0] = 0
      throw new SandboxError('timeout', `it took longer than ${timeoutMs} ms and was stopped${place(answer)}`)
    }
    throw new Error(summary(answer))
  }
  const facts = JSON.parse(ask('load', source)) as ScriptFacts
  return {
    facts,
    handle: (request) => {
      const answer = fromJson(ask(request.kind, toJson(request)), request)
      return { result: answer, transfer: answerTransfer(answer) }
    },
  }
})

/** The last line of the script in a traceback. */
function place(traceback: string): string {
  const lines = [...traceback.matchAll(/File "([^"]+)", line (\d+)/g)].filter((found) => found[1] === file)
  const last = lines.at(-1)
  return last === undefined ? '' : ` (${file}:${last[2]})`
}

function summary(traceback: string): string {
  const last = traceback.trim().split('\n').at(-1) ?? traceback
  return `${last.slice(0, 400)}${place(traceback)}`
}

/** Takes what is printed in pieces and logs it line by line; a line without end is cut. */
function lines(): (bytes: Uint8Array) => number {
  const decoder = new TextDecoder()
  let line = ''
  return (bytes) => {
    const text = decoder.decode(bytes.subarray(0, MOST_PRINTED), { stream: true })
    const parts = text.split('\n')
    for (const [i, part] of parts.entries()) {
      if (i > 0) {
        logLine(line)
        line = ''
      }
      if (line.length < MOST_LINE) line += part.slice(0, MOST_LINE)
    }
    return bytes.length
  }
}
