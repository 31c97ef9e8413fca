import type { RespWriter } from '@ferrite-migrate/protocol'

/** One kind of operation: how it is written, and what has to be there before. */
export interface BenchCommand {
  readonly name: string
  /** Fills the key space before the first measurement. */
  prepare(out: RespWriter, key: string, value: Buffer): void
  write(out: RespWriter, key: string, value: Buffer, n: number): void
}

const set = (out: RespWriter, key: string, value: Buffer): void => out.call('SET', key, value)

/** What can be measured, by name. Keys are of one type each, so that commands never meet another's. */
export const COMMANDS: Readonly<Record<string, BenchCommand>> = {
  GET: {
    name: 'GET',
    prepare: (out, key, value) => set(out, `${key}:s`, value),
    write: (out, key) => out.call('GET', `${key}:s`),
  },
  SET: {
    name: 'SET',
    prepare: (out, key, value) => set(out, `${key}:s`, value),
    write: (out, key, value) => out.call('SET', `${key}:s`, value),
  },
  MGET: {
    name: 'MGET',
    prepare: (out, key, value) => set(out, `${key}:s`, value),
    write: (out, key) => out.call('MGET', `${key}:s`, `${key}:s`, `${key}:s`, `${key}:s`, `${key}:s`),
  },
  HSET: {
    name: 'HSET',
    prepare: (out, key, value) => out.call('HSET', `${key}:h`, 'f0', value),
    write: (out, key, value, n) => out.call('HSET', `${key}:h`, `f${n % 10}`, value),
  },
  LPUSH: {
    name: 'LPUSH',
    prepare: (out, key, value) => out.call('LPUSH', `${key}:l`, value),
    write: (out, key, value) => out.call('LPUSH', `${key}:l`, value),
  },
  ZADD: {
    name: 'ZADD',
    prepare: (out, key) => out.call('ZADD', `${key}:z`, '1', 'm0'),
    write: (out, key, _value, n) => out.call('ZADD', `${key}:z`, String(n), `m${n % 10}`),
  },
  XADD: {
    name: 'XADD',
    prepare: (out, key, value) => out.call('XADD', `${key}:x`, '*', 'f', value),
    write: (out, key, value) => out.call('XADD', `${key}:x`, '*', 'f', value),
  },
}
