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
