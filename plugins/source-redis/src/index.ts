import type { CreateSource } from '@ferrite-migrate/contracts'
import { RedisSource } from './redis-source.js'

/** A live Redis, Valkey or Ferrite server: `redis://`, `rediss://`, `redis+unix://`, `ferrite://`, `ferrites://`. */
export const createSource: CreateSource = (context) => RedisSource.open(context)
