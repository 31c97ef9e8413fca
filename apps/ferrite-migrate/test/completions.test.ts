import { spawnSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { cli } from './tool.js'

const BIN = resolve(import.meta.dirname, '..', 'bin', 'run.js')

describe('completions', () => {
  it('for fish offer commands, their parts, flags and what these take', () => {
    const ran = spawnSync(process.execPath, [BIN, 'completions', 'fish'], { encoding: 'utf8', maxBuffer: 16 << 20 })
    expect([ran.status, ran.stderr]).toEqual([0, ''])
    const output = ran.stdout
    expect(output).toContain("complete -c ferrite-migrate -n __fish_use_subcommand -a cutover -d '")
    expect(output).toMatch(/__fish_seen_subcommand_from cutover' -l fence -x -a 'auto pause acl none'/)
    expect(output).toMatch(/-n '__fish_use_subcommand' -l source -s s -x /)
    expect(output).toMatch(
      /__fish_seen_subcommand_from plugins; and not __fish_seen_subcommand_from install' -a install/,
    )
    const file = join(mkdtempSync(join(tmpdir(), 'fm-fish-')), 'ferrite-migrate.fish')
    writeFileSync(file, output)
    const ask = (line: string): string =>
      spawnSync('fish', ['-c', `source ${file}; complete -C '${line}'`], { encoding: 'utf8' }).stdout
    if (spawnSync('fish', ['--version']).status !== 0) return
    expect(ask('ferrite-migrate cut')).toMatch(/^cutover\t/)
    expect(ask('ferrite-migrate --sou')).toMatch(/^--source\t/)
    expect(ask('ferrite-migrate cutover --fence ')).toMatch(/^acl\t/)
  })

  it('for other shells are elsewhere, which it says', async () => {
    const { code, output } = await cli(['completions', 'bash'])
    expect([code, output]).toEqual([2, expect.stringContaining('fish')])
  })
})
