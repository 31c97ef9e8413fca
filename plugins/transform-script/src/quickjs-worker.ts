import * as nodeModule from 'node:module'
import { workerData } from 'node:worker_threads'
import type { ScriptFacts, ScriptRequest } from '@ferrite-migrate/sandbox'
import {
  answerTransfer,
  fromJson,
  limitMemory,
  logLine,
  SandboxError,
  seal,
  serve,
  toJson,
} from '@ferrite-migrate/sandbox'
import { newQuickJSWASMModule, type QuickJSContext, type QuickJSHandle, RELEASE_SYNC } from 'quickjs-emscripten'
import { JAVASCRIPT_PRELUDE } from './javascript-prelude.js'

const { source, file, memory, timeoutMs } = workerData as {
  source: string
  file: string
  memory: number
  timeoutMs: number
}
/** What the engine takes beside what the script may take. */
const ENGINE_BYTES = 64 << 20
const STACK_BYTES = 512 << 10
/** Characters of one part of a log line, and parts of one. */
const LOGGED = 2000
const LOGGED_PARTS = 20
const FUNCTIONS = ['transformKey', 'transformKeys', 'transformValue', 'transformValues']

/** One QuickJS with the script in it; thrown away when the script failed as a whole. */
class Machine {
  readonly facts: ScriptFacts
  private readonly context: QuickJSContext
  private readonly prelude: QuickJSHandle
  private deadline = 0

  constructor(quickjs: Awaited<ReturnType<typeof newQuickJSWASMModule>>, code: string) {
    const runtime = quickjs.newRuntime()
    runtime.setMemoryLimit(memory)
    runtime.setMaxStackSize(STACK_BYTES)
    runtime.setInterruptHandler(() => Date.now() > this.deadline)
    this.context = runtime.newContext()
    const { context } = this
    this.prelude = this.limited(() => {
      context.setProp(context.global, 'FILE', context.newString(file))
      this.console()
      return this.unwrap(context.evalCode(JAVASCRIPT_PRELUDE, 'prelude.js'))
    })
    this.facts = this.limited(() => this.define(code))
  }

  /** Asks the script. @throws SandboxError when it was stopped, Error when it failed as a whole */
  ask(kind: 'keys' | 'values', json: string): string {
    return this.limited(() => {
      const { context } = this
      const text = context.newString(json)
      const ask = context.getProp(this.prelude, kind)
      try {
        const answer = this.unwrap(context.callFunction(ask, context.undefined, text))
        try {
          return context.getString(answer)
        } finally {
          answer.dispose()
        }
      } finally {
        text.dispose()
        ask.dispose()
      }
    })
  }

  dispose(): void {
    try {
      const { runtime } = this.context
      this.prelude.dispose()
      this.context.dispose()
      runtime.dispose()
    } catch {
      // After running out of memory the engine may refuse; the thread is small and the next machine is a new one.
    }
  }

  private limited<T>(work: () => T): T {
    this.deadline = Date.now() + timeoutMs
    try {
      return work()
    } catch (error) {
      if (Date.now() > this.deadline)
        throw new SandboxError('timeout', `it took longer than ${timeoutMs} ms and was stopped${place(error)}`)
      throw error
    }
  }

  private unwrap(result: ReturnType<QuickJSContext['evalCode']>): QuickJSHandle {
    if (!result.error) return result.value
    const { context } = this
    const error = context.dump(result.error) as { name?: string; message?: string; stack?: string } | string
    result.error.dispose()
    const thrown =
      typeof error === 'string' ? new Error(error) : new Error(`${error.name ?? 'Error'}: ${error.message ?? ''}`)
    thrown.stack = typeof error === 'string' ? '' : (error.stack ?? '')
    const message = thrown.message.includes(`${file}:`) ? thrown.message : `${thrown.message}${place(thrown)}`
    throw new Error(message, { cause: thrown })
  }

  private console(): void {
    const { context } = this
    const console = context.newObject()
    const json = context.getProp(context.global, 'JSON')
    const stringify = context.getProp(json, 'stringify')
    const prototype = context.getProp(context.getProp(context.global, 'String'), 'prototype')
    const slice = context.getProp(prototype, 'slice')
    const [start, end] = [context.newNumber(0), context.newNumber(LOGGED)]
    // Only what will be written leaves the engine: outside, memory is nobody's limit.
    const text = (part: QuickJSHandle): string => {
      let written = part
      if (context.typeof(part) !== 'string') {
        const result = context.callFunction(stringify, context.undefined, part)
        if (result.error) {
          result.error.dispose()
          return '(what cannot be written as JSON)'
        }
        written = result.value
      }
      if (context.typeof(written) !== 'string') return context.typeof(written)
      return context.getString(context.unwrapResult(context.callFunction(slice, written, start, end)))
    }
    const print = context.newFunction('log', (...parts) => logLine(parts.slice(0, LOGGED_PARTS).map(text).join(' ')))
    for (const name of ['log', 'info', 'warn', 'error', 'debug']) context.setProp(console, name, print)
    context.setProp(context.global, 'console', console)
  }

  /** A module where it imports or exports, else a script whose functions are global. */
  private define(code: string): ScriptFacts {
    const { context } = this
    const module = /^\s*(?:export|import)\b/m.test(code)
    const result = this.unwrap(context.evalCode(code, file, { type: module ? 'module' : 'global' }))
    const found = context.newObject()
    for (const name of FUNCTIONS) {
      const value = context.getProp(module ? result : context.global, name)
      if (context.typeof(value) === 'function') context.setProp(found, name, value)
    }
    const define = context.getProp(this.prelude, 'define')
    return context.dump(this.unwrap(context.callFunction(define, context.undefined, found))) as ScriptFacts
  }
}

/** ` (script.js:7)` where an error tells it. */
function place(error: unknown): string {
  const stack = ((error as Error).cause as Error | undefined)?.stack ?? (error as Error).stack ?? ''
  const line = stack.split('\n').find((one) => one.includes(`${file}:`))
  if (line === undefined) return ''
  return ` (${line.slice(line.indexOf(`${file}:`)).replace(/\)$/, '')})`
}

/** Types are erased; lines stay where they are. */
function plainCode(): string {
  if (!file.endsWith('.ts')) return source
  // An older Node has no such function.
  const { stripTypeScriptTypes }: Partial<typeof nodeModule> = nodeModule
  if (stripTypeScriptTypes === undefined) throw new Error('this Node cannot read TypeScript: use Node 22.13 or newer')
  return stripTypeScriptTypes(source)
}

await serve<ScriptRequest>(async () => {
  limitMemory(memory + ENGINE_BYTES)
  const quickjs = await newQuickJSWASMModule(RELEASE_SYNC)
  const code = plainCode()
  let machine: Machine | null = new Machine(quickjs, code)
  seal()
  return {
    facts: machine.facts,
    handle: (request) => {
      machine ??= new Machine(quickjs, code)
      try {
        const answer = fromJson(machine.ask(request.kind, toJson(request)), request)
        return { result: answer, transfer: answerTransfer(answer) }
      } catch (error) {
        machine.dispose()
        machine = null
        throw error
      }
    },
  }
})
