import { createRequire, syncBuiltinESMExports } from 'node:module'

/** Everything through which code could reach files, other machines, processes or other code. */
const CLOSED = [
  'child_process',
  'cluster',
  'dgram',
  'dns',
  'dns/promises',
  'fs',
  'fs/promises',
  'http',
  'http2',
  'https',
  'inspector',
  'module',
  'net',
  'os',
  'repl',
  'sqlite',
  'tls',
  'tty',
  'v8',
  'vm',
  'wasi',
  'worker_threads',
]

const GLOBALS = ['fetch', 'WebSocket', 'EventSource', 'XMLHttpRequest', 'Request', 'navigator', 'Worker']

function closed(): never {
  throw new Error('this is closed in the sandbox')
}

/** Functions and constructors of a module, replaced one by one so that whoever holds the module holds nothing. */
function closeModule(module: Record<string, unknown>): void {
  for (const name of Object.keys(module)) {
    const descriptor = Object.getOwnPropertyDescriptor(module, name)
    if (descriptor === undefined || descriptor.configurable === false) {
      if (descriptor?.writable) module[name] = closed
      continue
    }
    const value = 'value' in descriptor ? descriptor.value : undefined
    if (typeof value === 'function') closePrototype(value as { prototype?: object })
    Object.defineProperty(module, name, { value: closed, writable: true, configurable: true, enumerable: true })
  }
}

function closePrototype({ prototype }: { prototype?: object }): void {
  if (typeof prototype !== 'object' || prototype === null) return
  for (const name of ['connect', 'open', 'bind', 'listen', 'spawn', 'send'])
    if (Object.hasOwn(prototype, name))
      Object.defineProperty(prototype, name, { value: closed, writable: true, configurable: true })
}

/**
 * Takes from this thread every way out of it, for good: a sandbox's own walls come first, and this is what stands behind
 * them. `parentPort` goes on working for those who hold it. Call when everything that is needed is loaded.
 */
export function seal(): void {
  const require = createRequire(import.meta.url)
  const modules = CLOSED.flatMap((name) => {
    try {
      return [require(`node:${name}`) as Record<string, unknown>]
    } catch {
      return []
    }
  })
  for (const module of modules) closeModule(module)
  syncBuiltinESMExports()
  const host = globalThis as Record<string, unknown>
  for (const name of GLOBALS)
    if (name in host) Object.defineProperty(host, name, { value: undefined, writable: true, configurable: true })
  const process = host.process as Record<string, unknown>
  for (const name of [
    '_kill',
    '_debugProcess',
    '_debugEnd',
    '_startProfilerIdleNotifier',
    '_stopProfilerIdleNotifier',
    '_getActiveHandles',
    '_getActiveRequests',
    'setuid',
    'seteuid',
    'setgid',
    'setegid',
    'setgroups',
    'initgroups',
    'umask',
    'execve',
    'binding',
    '_linkedBinding',
    'dlopen',
    'kill',
    'exit',
    'reallyExit',
    'abort',
    'chdir',
    'getBuiltinModule',
    'loadEnvFile',
    'cwd',
    'mainModule',
    'report',
  ])
    try {
      Object.defineProperty(process, name, { value: closed, writable: true, configurable: true })
    } catch {
      // Not there in this version.
    }
  for (const name of ['env', 'argv', 'execArgv', 'config', 'versions'])
    try {
      Object.defineProperty(process, name, { value: Object.freeze(name === 'argv' || name === 'execArgv' ? [] : {}) })
    } catch {
      // Not to be replaced in this version; a sandbox's worker gets none of them.
    }
}
