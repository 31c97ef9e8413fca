import type { CreateSource } from '@ferrite-migrate/contracts'
import { AofSource } from './aof-source.js'

export { type AofFile, findAofFiles } from './aof-files.js'
export { type AofInspection, inspectAof } from './aof-inspection.js'

/** An append-only file, a multi-part directory, or its manifest: `aof:///var/lib/redis/appendonlydir`. */
export const createSource: CreateSource = (context) => AofSource.open(context)
