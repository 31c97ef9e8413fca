import { connect } from 'node:net'
import { commandSpecOf } from '@ferrite-migrate/protocol'
import type { RedisCluster } from '@ferrite-migrate/servers'
import { stops } from '../servers.js'

/** Of a connection's name: the shard and epoch of the worker that it is of. */
const OF_WORKER = /:([^:]+):(\d+)$/
const OWN = '__ferrite_migrate__:'

interface Write {
  readonly at: number
  readonly epoch: number
  readonly what: string
}

/** Every command that a server gets from now on: when, s, from where, and its words as MONITOR quotes them. */
async function monitor(port: number, told: (time: number, source: string, words: string[]) => void): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  stops.push(async () => void socket.destroy())
  const { promise: begun, resolve, reject } = Promise.withResolvers<void>()
  let rest = ''
  socket.on('error', reject)
  socket.setEncoding('latin1').on('data', (text: string) => {
    const lines = (rest + text).split('\r\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const found = /^\+(\d+\.\d+) \[\d+ (\S+)\] (.*)$/.exec(line)
      if (line === '+OK') resolve()
      else if (found !== null)
        told(
          Number(found[1]),
          found[2],
          Array.from(found[3].matchAll(/"((?:[^"\\]|\\.)*)"/g), ([, word]) => word),
        )
    }
  })
  socket.write('MONITOR\r\n')
  await begun
}

/**
 * What the nodes of a target say (MONITOR) that workers write there. Once a worker has written a shard, none of a lower epoch may write it,
 * on any node.
 */
export class WorkerWrites {
  /** The first write of each epoch, by shard. */
  private readonly first = new Map<string, Map<number, number>>()
  private readonly last = new Map<string, Map<number, Write>>()
  writes = 0

  static async watch(target: RedisCluster): Promise<WorkerWrites> {
    const watched = new WorkerWrites()
    for (const { port } of await target.primaries()) {
      const names = new Map<string, { shard: string; epoch: number } | null>()
      await monitor(port, (time, source, [name, ...args]) => {
        if (/^client$/i.test(name) && /^setname$/i.test(args[0])) {
          const found = OF_WORKER.exec(args[1])
          names.set(source, found === null ? null : { shard: found[1], epoch: Number(found[2]) })
        }
        const writer = names.get(source)
        if (writer && commandSpecOf(name.toUpperCase()).kind === 'write' && !args[0].startsWith(OWN))
          watched.note(writer.shard, { at: time, epoch: writer.epoch, what: `${name} ${args[0]}` })
      })
    }
    return watched
  }

  /** Writes of workers that had been followed by another one, each in words. */
  late(): string[] {
    const late: string[] = []
    for (const [shard, writes] of this.last)
      for (const { at, epoch, what } of writes.values())
        for (const [other, firsts] of this.first) {
          if (other !== shard && other !== '*' && shard !== '*') continue
          for (const [higher, first] of firsts)
            if (higher > epoch && at > first)
              late.push(`${what} of ${shard} ${epoch}, ${at - first} s after ${other} ${higher}`)
        }
    return late
  }

  /** Epochs that have written something. */
  get epochs(): number {
    return [...this.first.values()].reduce((sum, { size }) => sum + size, 0)
  }

  private note(shard: string, write: Write): void {
    this.writes++
    const firsts = this.first.get(shard) ?? new Map<number, number>()
    if (!firsts.has(write.epoch)) firsts.set(write.epoch, write.at)
    this.first.set(shard, firsts)
    const lasts = this.last.get(shard) ?? new Map<number, Write>()
    this.last.set(shard, lasts.set(write.epoch, write))
  }
}
