import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { loaded } from './loaded.js'

/** What must never come out of a sandbox. */
const SECRET = 'root:x:0:0'

const JAVASCRIPT: Record<string, string> = {
  'reads a file by require': `return require('fs').readFileSync('/etc/passwd', 'utf8')`,
  'uses process': 'return process.env.HOME + process.cwd()',
  'uses a global object of Node': 'return globalThis.process.version',
  fetches: `return fetch('http://127.0.0.1/')`,
  'opens a socket': `return new WebSocket('ws://127.0.0.1/')`,
  'climbs by a constructor': `return (() => {}).constructor('return process.env.HOME')()`,
  'climbs by the constructor of an argument': `return value.constructor.constructor('return this.process.pid')()`,
  'climbs by an error': `try { null.x } catch (e) { return e.constructor.constructor('return process')().pid + '' }`,
  'imports at run time': `return import('fs')`,
  evaluates: `return eval('process.pid') + ''`,
  'sleeps by a timer': `return setTimeout(() => 1, 10)`,
  'reads a clock': 'return String(Date.now())',
  'makes a date of now': 'return new Date().toISOString()',
  'reads a clock by an instance': 'return new (new Date(0).constructor)().toISOString()',
  'rolls dice': 'return String(Math.random())',
  'shares memory':
    'return String(new SharedArrayBuffer(8).byteLength + Atomics.wait(new Int32Array(new SharedArrayBuffer(8)), 0, 0, 1e9))',
  'returns a promise': 'return Promise.resolve(value)',
  'returns nothing': '',
  'returns a number': 'return 7',
  'returns half a letter': String.raw`return '\ud800'`,
  'recurses for ever': 'const f = () => f() + 1; return f()',
  'throws nothing': 'throw undefined',
  'throws what breaks when it is read': `throw { get message() { throw new Error('again') }, get stack() { throw 1 } }`,
}

const PYTHON: Record<string, string> = {
  'reads a file of the machine': `return open('/etc/passwd').read()`,
  'imports js': 'import js\n    return str(js.process)',
  'imports pyodide_js': 'import pyodide_js\n    return str(pyodide_js._module)',
  'runs JavaScript': `from pyodide.code import run_js\n    return str(run_js('process.pid'))`,
  'uses the core of the bridge': 'import _pyodide_core\n    return str(_pyodide_core)',
  'finds a module that was deleted': `import sys, gc\n    found = [o for o in gc.get_objects() if 'JsProxy' in type(o).__name__]\n    return str([f.constructor.constructor('return process.pid')() for f in found][0])`,
  'uses the importer of the bridge': `import gc\n    finder = [o for o in gc.get_objects() if type(o).__name__ == 'JsFinder'][0]\n    return str(finder.jsproxies['js'].process)`,
  'starts a process': `import subprocess\n    return str(subprocess.run(['id'], capture_output=True))`,
  'asks the system': `import os\n    return str(os.system('id')) + os.environ['HOME']`,
  'opens a socket': `import socket\n    s = socket.socket()\n    s.connect(('127.0.0.1', PORT))\n    return 'connected'`,
  'opens a socket by the inner module': `import importlib.machinery, sys\n    import _socket\n    s = _socket.socket()\n    s.connect(('127.0.0.1', PORT))\n    return 'connected'`,
  fetches: `import urllib.request\n    return urllib.request.urlopen('http://127.0.0.1:PORT/').read().decode()`,
  'calls C': `import ctypes\n    return str(ctypes.CDLL(None).getpid())`,
  'reads a clock': 'import time\n    return str(time.time())',
  'rolls dice': 'import random\n    return str(random.random())',
  'mounts the machine': `import gc\n    for o in gc.get_objects():\n        m = getattr(o, 'mountNodeFS', None)\n        if m is not None:\n            m('/mnt', '/etc')\n            return open('/mnt/passwd').read()\n    raise RuntimeError('nothing to mount by')`,
  'returns nothing': 'pass',
  'returns a number': 'return 7',
  'recurses for ever': 'return transform_value(key, value, type) + "x"',
  'raises what is no Exception': 'raise SystemExit(3)',
}

describe('a JavaScript script cannot', () => {
  for (const [what, body] of Object.entries(JAVASCRIPT))
    it(what, async () => {
      await using script = await loaded('bad.js', `function transformValue(key, value, type) {\n${body}\n}`)
      const [answer] = await script.ask('value')
      expect(answer).toBeInstanceOf(Error)
      // The sandbox is as it was.
      await expect(script.ask('value')).resolves.toHaveLength(1)
    })

  it('import a module', async () => {
    for (const source of [
      `import fs from 'fs'\nexport function transformKey(k) { return k }`,
      `export { x } from './other.js'`,
    ])
      await expect(loaded('bad.mjs', source)).rejects.toMatchObject({ code: 'FM_TRANSFORM_SCRIPT' })
  })

  it('loop for ever: it is stopped with its line, and the others are transformed', async () => {
    await using script = await loaded(
      'loop.js',
      `function transformValue(key, value) {\n  if (value === 'bad') {\n    for (let i = 0; ; i++) value += Math.sin(i) > 2 ? 'x' : ''\n  }\n  return value + '!'\n}`,
      { timeout: 1000 },
    )
    const [a, b, c] = await script.ask('one', 'bad', 'two')
    expect([a, c]).toEqual(['one!', 'two!'])
    expect(String(b)).toMatch(/took longer than 1000 ms.*loop\.js:\d/)
  })

  it('loop for ever while it is loaded', async () => {
    await expect(loaded('loop.js', 'while (true) {}', { timeout: 1000 })).rejects.toThrow(/took longer than 1000 ms/)
  })

  it('take all memory, by pieces or at once', async () => {
    for (const body of [
      `const list = []; for (;;) list.push('x'.repeat(1e6) + list.length)`,
      `return 'x'.repeat(2 ** 29)`,
      `let s = value; for (;;) s += s`,
      `return new Uint8Array(1e9)`,
      `return new Array(1e9).fill(value).join('')`,
    ]) {
      await using script = await loaded(
        'bomb.js',
        `function transformValue(key, value) {\n  if (value !== 'bad') return value + '!'\n  ${body}\n}`,
        { memory: 64 << 20, timeout: 5000 },
      )
      const [a, b, c] = await script.ask('one', 'bad', 'two')
      expect([a, c]).toEqual(['one!', 'two!'])
      expect(b).toBeInstanceOf(Error)
    }
  })

  it('harm the others by changing what everything stands on', async () => {
    await using script = await loaded(
      'proto.js',
      `JSON.stringify = () => 'no'\nObject.prototype.e = 'no'\nObject.prototype.v = 'no'\nArray.isArray = () => true\nfunction transformValue(key, value) { return value + '!' }`,
    )
    expect(await script.ask('a', 'b')).toEqual(['a!', 'b!'])
  })

  it('flood the log', async () => {
    await using script = await loaded(
      'log.js',
      `function transformValue(key, value) { for (let i = 0; i < 20000; i++) console.log('x'.repeat(5000)); return value }`,
    )
    await script.ask('a')
    expect(script.log.length).toBeLessThanOrEqual(10_000)
    expect(Math.max(...script.log.map((line) => line.length))).toBe(2000)
  })
})

describe('a Python script cannot', () => {
  const text = 'def transform_value(key, value, type):\n    if value != "bad":\n        return value + "!"\n    '

  for (const [what, body] of Object.entries(PYTHON))
    it(what, async () => {
      let reached = 0
      const server = createServer((socket) => {
        reached++
        socket.end('HTTP/1.1 200 OK\r\n\r\nreached')
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as { port: number }
      try {
        await using script = await loaded('bad.py', text + body.replaceAll('PORT', String(port)))
        const answers = await script.ask('one', 'bad', 'two')
        expect([answers[0], answers[2]]).toEqual(['one!', 'two!'])
        expect(answers[1]).toBeInstanceOf(Error)
        expect(String(answers[1])).not.toContain(SECRET)
        expect(reached).toBe(0)
      } finally {
        server.close()
      }
    })

  it('loop for ever: it is stopped with its line, and the others are transformed', async () => {
    await using script = await loaded('loop.py', `${text}while True:\n        pass`, { timeout: 1500 })
    const [a, b, c] = await script.ask('one', 'bad', 'two')
    expect([a, c]).toEqual(['one!', 'two!'])
    expect(String(b)).toMatch(/took longer than 1500 ms.*loop\.py:[45]/)
  })

  it('loop for ever and keep everything from stopping', async () => {
    const stop = new AbortController()
    await using script = await loaded('loop.py', `${text}while True:\n        pass`, { signal: stop.signal })
    const asked = script.ask('bad', 'bad', 'bad')
    stop.abort()
    await expect(asked).rejects.toMatchObject({ code: 'FM_INTERRUPTED' })
  })

  it('loop for ever on every key, where the first fault ends everything', async () => {
    await using script = await loaded('loop.py', `${text}while True:\n        pass`, {
      timeout: 1500,
      firstFaultEnds: true,
    })
    const [a, b, c, d] = await script.ask('one', 'bad', 'bad', 'two')
    expect(a).toBe('one!')
    expect(String(b)).toMatch(/took longer than 1500 ms/)
    expect([String(c), String(d)]).toEqual(Array(2).fill('Error: it was not looked at after the fault of another'))
  })

  it('loop for ever and refuse to be stopped', async () => {
    const stubborn = `while True:\n        try:\n            while True:\n                pass\n        except BaseException:\n            pass`
    await using script = await loaded('loop.py', text + stubborn, { timeout: 1500 })
    const [a, b, c] = await script.ask('one', 'bad', 'two')
    expect([a, c]).toEqual(['one!', 'two!'])
    expect(String(b)).toMatch(/took longer than 1500 ms/)
  })

  it('take all memory', async () => {
    for (const body of ['x = []\n    while True:\n        x.append("y" * 10_000_000)', 'return "x" * 2_000_000_000']) {
      await using script = await loaded('bomb.py', text + body, { memory: 64 << 20 })
      const [a, b, c] = await script.ask('one', 'bad', 'two')
      expect([a, c]).toEqual(['one!', 'two!'])
      expect(b).toBeInstanceOf(Error)
    }
  })
})
