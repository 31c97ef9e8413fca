import type { AdapterContext } from './context.js'
import type { ChangeRecord, SnapshotRecord } from './record.js'
import type { CreateSource, OpenedSource } from './source.js'
import type { CreateTarget, OpenedTarget } from './target.js'
import type { CreateTransform } from './transform.js'

/**
 * A command as a change: its name and its bytes in the protocol's form are made from the arguments.
 * @param argv the command and its arguments; text is written in UTF-8
 * @param receivedAt when it was read, ms
 */
export function changeOf(db: number, argv: readonly (Buffer | string)[], receivedAt = Date.now()): ChangeRecord {
  const bytes = argv.map((argument) => (typeof argument === 'string' ? Buffer.from(argument) : argument))
  const parts: Buffer[] = [Buffer.from(`*${bytes.length}\r\n`)]
  for (const argument of bytes) parts.push(Buffer.from(`$${argument.length}\r\n`), argument, Buffer.from('\r\n'))
  const name = (bytes[0] ?? Buffer.alloc(0)).toString('latin1').toUpperCase()
  return { db, name, argv: bytes, resp: Buffer.concat(parts), receivedAt }
}

/** A key that holds a string; text is written in UTF-8, and without `expireAt` (absolute ms) the key does not end. */
export function stringRecord(
  key: Buffer | string,
  value: Buffer | string,
  { db = 0, expireAt = 0 }: { readonly db?: number; readonly expireAt?: number } = {},
): SnapshotRecord {
  return {
    db,
    key: typeof key === 'string' ? Buffer.from(key) : key,
    value: { form: 'items', type: 'string', items: [typeof value === 'string' ? Buffer.from(value) : value] },
    expireAt,
  }
}

/** Gives an adapter that has nothing to release the method by which that is done. */
function disposable<T extends object & Partial<AsyncDisposable>>(adapter: T): T & AsyncDisposable {
  return adapter[Symbol.asyncDispose] === undefined
    ? Object.assign(adapter, { [Symbol.asyncDispose]: async () => {} })
    : Object.assign(adapter)
}

/** By it editors know the types of a source that is written in plain JavaScript, and it need not be one that is released. */
export function defineSource(create: (context: AdapterContext) => Promise<OpenedSource>): CreateSource {
  return async (context) => disposable(await create(context))
}

/** The same for a target. */
export function defineTarget(create: (context: AdapterContext) => Promise<OpenedTarget>): CreateTarget {
  return async (context) => disposable(await create(context))
}

/** The same for a transform. */
export function defineTransform(create: CreateTransform): CreateTransform {
  return create
}
