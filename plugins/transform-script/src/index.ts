import type { CreateTransform } from '@ferrite-migrate/contracts'
import { openScript } from '@ferrite-migrate/sandbox'

/** Loads a script (.js, .mjs and .ts) into QuickJS, which is WebAssembly in processes of its own. */
export const createTransform: CreateTransform = (context) =>
  openScript(context, {
    worker: new URL('./quickjs-worker.js', import.meta.url),
    names: 'transformKey, transformValue',
  })
