import type { CreateSource } from '@ferrite-migrate/contracts'
import { RdbFileSource } from './rdb-file-source.js'

/** An RDB file: `rdb:///path/dump.rdb`, plain, .gz or .zst; `rdb://-` is standard input. */
export const createSource: CreateSource = (context) => RdbFileSource.open(context)
