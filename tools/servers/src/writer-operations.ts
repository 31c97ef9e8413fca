import type { Random } from './random.js'
import type { Command } from './routed-client.js'

export type WriterOperation =
  | 'incr'
  | 'rpush'
  | 'append'
  | 'xadd'
  | 'spop'
  | 'rename'
  | 'expire'
  | 'del'
  | 'multi'
  | 'eval'

/** What a writer does in one step, all of it to keys of one hash tag. */
export interface WriterStep {
  readonly operation: WriterOperation
  /** A key that decides the slot. */
  readonly key: string
  /** One command, or several that go in one MULTI. */
  readonly commands: readonly Command[]
  /** The counter that it raises by one. */
  readonly counter?: string
  /** Keys to whose end it puts the token, never twice the same. */
  readonly appends: readonly string[]
  readonly token: string
}

const FAR_MS = 3_600_000
const COUNT_AND_PUSH =
  "redis.call('INCR', KEYS[1]); redis.call('RPUSH', KEYS[2], ARGV[1]); return redis.call('ZINCRBY', KEYS[3], 1, 'm')"

/** The next step. @param token different in each step; without semicolons */
export function writerStep(random: Random, tags: number, prefix: string, token: string): WriterStep {
  const tag = `${prefix}{t${random.below(tags)}}`
  const counter = `${tag}:n`
  const list = `${tag}:l`
  const text = `${tag}:s`
  const stream = `${tag}:x`
  const step = (operation: WriterOperation, commands: Command[], rest: Partial<WriterStep> = {}): WriterStep => {
    return { operation, key: counter, commands, appends: [], token, ...rest }
  }
  switch (random.below(16)) {
    case 0:
    case 1:
      return step('incr', [['INCR', counter]], { counter })
    case 2:
    case 3:
      return step('rpush', [['RPUSH', list, token]], { appends: [list] })
    case 4:
    case 5:
      return step('append', [['APPEND', text, `${token};`]], { appends: [text] })
    case 6:
    case 7:
      return step('xadd', [['XADD', stream, '*', 'token', token]], { appends: [stream] })
    case 8:
      return step('spop', [['SADD', `${tag}:p`, token, `m${random.below(9)}`]])
    case 9:
      return step('spop', [['SPOP', `${tag}:p`]])
    case 10:
      return step('rename', [['HSET', `${tag}:a`, `f${random.below(5)}`, token]])
    case 11:
      return step('rename', [['RENAME', `${tag}:a`, `${tag}:b`]])
    case 12:
      return step('expire', [['SET', `${tag}:e`, token, 'PX', String(FAR_MS + random.below(FAR_MS))]])
    case 13:
      return step('del', [random.below(3) === 0 ? ['DEL', `${tag}:d`] : ['SET', `${tag}:d`, token]])
    case 14:
      return step(
        'multi',
        [
          ['INCR', counter],
          ['RPUSH', list, token],
          ['HINCRBY', `${tag}:h`, 'f', '1'],
        ],
        {
          counter,
          appends: [list],
        },
      )
    default:
      return step('eval', [['EVAL', COUNT_AND_PUSH, '3', counter, list, `${tag}:z`, token]], {
        counter,
        appends: [list],
      })
  }
}
