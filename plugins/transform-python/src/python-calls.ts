/** What Pyodide's module has of CPython's own C interface; objects are addresses. */
export interface PythonModule {
  readonly HEAPU8: Uint8Array
  readonly HEAPU32: Uint32Array
  _malloc(bytes: number): number
  _free(at: number): void
  _PyImport_AddModule(name: number): number
  _PyObject_GetAttrString(object: number, name: number): number
  _PyObject_CallOneArg(callable: number, argument: number): number
  _PyUnicode_FromStringAndSize(at: number, bytes: number): number
  _PyUnicode_AsUTF8AndSize(object: number, size: number): number
  _PyErr_GetRaisedException(): number
  _Py_DecRef(object: number): void
}

/** The module of an engine, of which Pyodide's types do not tell. @throws Error when it is not as it is known here */
export function pythonModule(python: object): PythonModule {
  if ('_module' in python && isPythonModule(python._module)) return python._module
  throw new Error('this Pyodide has no C interface of Python')
}

function isPythonModule(value: unknown): value is PythonModule {
  return typeof value === 'object' && value !== null && '_PyObject_CallOneArg' in value && 'HEAPU8' in value
}

/** The engine has no memory left for what was asked. */
export class OutOfMemory extends Error {}

/**
 * Calls Python functions from text to text by CPython's C interface alone: no object of one side is ever seen by the other,
 * so there is nothing that a script could follow to the other side.
 */
export class PythonCalls {
  private readonly module: PythonModule
  /** Where the engine writes how long a text is. */
  private readonly size: number

  constructor(module: PythonModule) {
    this.module = module
    this.size = module._malloc(8)
  }

  /** A function of the module `__main__`, which lives as long as the engine. */
  find(name: string): number {
    const { module } = this
    return module._PyObject_GetAttrString(module._PyImport_AddModule(this.name('__main__')), this.name(name))
  }

  /** @throws OutOfMemory; Error when the engine answers nonsense */
  call(callable: number, text: string): string {
    const { module } = this
    const bytes = Buffer.byteLength(text)
    const at = module._malloc(bytes + 1) >>> 0
    if (at === 0) throw new OutOfMemory('MemoryError')
    Buffer.from(module.HEAPU8.buffer, at, bytes).write(text)
    const argument = module._PyUnicode_FromStringAndSize(at, bytes)
    module._free(at)
    if (argument === 0) this.fail()
    const result = module._PyObject_CallOneArg(callable, argument)
    module._Py_DecRef(argument)
    if (result === 0) this.fail()
    const from = module._PyUnicode_AsUTF8AndSize(result, this.size) >>> 0
    if (from === 0) this.fail()
    const length = module.HEAPU32[this.size >>> 2] >>> 0
    const { buffer } = module.HEAPU8
    if (from + length > buffer.byteLength) throw new Error('the engine answers nonsense')
    const answer = Buffer.from(buffer, from, length).toString('utf8')
    module._Py_DecRef(result)
    return answer
  }

  private name(text: string): number {
    const { module } = this
    const bytes = Buffer.from(`${text}\0`)
    const at = module._malloc(bytes.length)
    module.HEAPU8.set(bytes, at)
    return at
  }

  private fail(): never {
    this.module._Py_DecRef(this.module._PyErr_GetRaisedException())
    throw new OutOfMemory('MemoryError')
  }
}
