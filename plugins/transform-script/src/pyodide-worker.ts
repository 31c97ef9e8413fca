import { workerData } from 'node:worker_threads'
import { limitMemory, logLine, SandboxError, seal, serve } from '@ferrite-migrate/sandbox'
import { loadPyodide } from 'pyodide'
import { interruptBuffer } from './interrupt-buffer.js'
import { answerTransfer, fromJson, toJson } from './json-form.js'
import { PYTHON_PRELUDE } from './python-prelude.js'
import type { ScriptFacts, ScriptRequest } from './script-request.js'

const { source, file, memory, timeoutMs, interrupt } = workerData as {
  source: string
  file: string
  memory: number
  timeoutMs: number
  interrupt: Uint8Array
}
/** What CPython takes beside what the script may take. */
const ENGINE_BYTES = 64 << 20

interface Machine {
  load(source: string): string
  keys(json: string): string
  values(json: string): string
  said(error: unknown): string
}

await serve<ScriptRequest>(async () => {
  limitMemory(memory + ENGINE_BYTES)
  const python = await loadPyodide({
    // The module `js` sees these and nothing else.
    jsglobals: Object.create(null) as object,
    stdout: logLine,
    stderr: logLine,
    env: { HOME: '/home/pyodide', PYTHONHASHSEED: '0' },
  })
  python.setStdin({ error: true })
  python.runPython(PYTHON_PRELUDE)
  const machine = python.globals.get('_Machine')(file) as Machine
  python.runPython('_close()')
  seal()
  python.setInterruptBuffer(interruptBuffer(interrupt))

  const guarded = (work: () => string): string => {
    try {
      return work()
    } catch (error) {
      const text = (error as Error).message ?? String(error)
      if (/KeyboardInterrupt/.test(text)) {
        interrupt[0] = 0
        throw new SandboxError('timeout', `it took longer than ${timeoutMs} ms and was stopped${place(text)}`)
      }
      // An error that is not Python's is the end of the engine.
      if ((error as Error).constructor?.name !== 'PythonError') throw new SandboxError('crash', summary(text))
      throw new Error(summary(text))
    }
  }
  const facts = JSON.parse(guarded(() => machine.load(source))) as ScriptFacts
  return {
    facts,
    handle: (request) => {
      const json = toJson(request)
      const answer = fromJson(
        guarded(() => (request.kind === 'keys' ? machine.keys(json) : machine.values(json))),
        request,
      )
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
