import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestServer } from '@ferrite-migrate/servers'
import { type Measured, runMeasured } from './measure.js'

/** Other tools, where an environment variable names their program: REDIS_SHAKE_BIN, RIOT_BIN. */
export interface Peer {
  readonly name: string
  snapshot(source: TestServer, target: TestServer): Promise<Measured>
  /** Starts it for the live benches; null when it has no live mode here. */
  live?(source: TestServer, target: TestServer): ChildProcess
}

function shakeConfig(source: TestServer, target: TestServer, aof: boolean): string {
  const folder = mkdtempSync(join(tmpdir(), 'fm-shake-'))
  const file = join(folder, 'shake.toml')
  writeFileSync(
    file,
    `[sync_reader]\naddress = "127.0.0.1:${source.port}"\nsync_rdb = true\nsync_aof = ${aof}\n[redis_writer]\naddress = "127.0.0.1:${target.port}"\n[advanced]\ndir = "${folder}"\nlog_level = "warn"\nrdb_restore_command_behavior = "rewrite"\n`,
  )
  return file
}

export function peers(): Peer[] {
  const list: Peer[] = []
  const shake = process.env.REDIS_SHAKE_BIN
  if (shake)
    list.push({
      name: 'RedisShake sync_reader',
      snapshot: (source, target) => runMeasured(shake, [shakeConfig(source, target, false)], 300_000),
      live: (source, target) => spawn(shake, [shakeConfig(source, target, true)], { stdio: 'ignore' }),
    })
  const riot = process.env.RIOT_BIN
  if (riot)
    list.push({
      name: 'RIOT replicate',
      snapshot: (source, target) =>
        runMeasured(riot, ['replicate', source.url, target.url, '--compare', 'NONE', '--threads', '2'], 300_000),
    })
  return list
}

/** RedisShake from one cluster into another, where it is to be had; null = it is not. The first node of each is enough for it. */
export function shakeOverClusters(): ((source: string, target: string) => Promise<Measured>) | null {
  const shake = process.env.REDIS_SHAKE_BIN
  if (!shake) return null
  return (source, target) => {
    const folder = mkdtempSync(join(tmpdir(), 'fm-shake-'))
    const file = join(folder, 'shake.toml')
    const first = (url: string): string => url.replace(/^.*:\/\//, '').split(',')[0]
    writeFileSync(
      file,
      `[sync_reader]\ncluster = true\naddress = "${first(source)}"\nsync_rdb = true\nsync_aof = false\n[redis_writer]\ncluster = true\naddress = "${first(target)}"\n[advanced]\ndir = "${folder}"\nlog_level = "warn"\nrdb_restore_command_behavior = "rewrite"\n`,
    )
    return runMeasured(shake, [file], 600_000)
  }
}
