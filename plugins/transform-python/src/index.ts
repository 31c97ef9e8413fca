import type { CreateTransform } from '@ferrite-migrate/contracts'
import { openScript } from '@ferrite-migrate/sandbox'

/** Loads a script (.py) into CPython (Pyodide), which is WebAssembly in processes of its own. */
export const createTransform: CreateTransform = (context) =>
  openScript(context, {
    worker: new URL('./pyodide-worker.js', import.meta.url),
    names: 'transform_key, transform_value',
  })
