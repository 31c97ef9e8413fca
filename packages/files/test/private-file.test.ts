import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makePrivateDirectory, openPrivate, privatePlace, writePrivate } from '@ferrite-migrate/files'
import { afterAll, describe, expect, it } from 'vitest'

const directory = mkdtempSync(join(tmpdir(), 'fm-private-'))
afterAll(() => rmSync(directory, { recursive: true }))
const mode = (path: string): number => statSync(path).mode & 0o777

describe('a private file', () => {
  it('is for its owner only, also where it was there for all', () => {
    const path = join(directory, 'open')
    writeFileSync(path, 'before', { mode: 0o666 })
    chmodSync(path, 0o666)
    const file = openPrivate(path, 'a')
    writeSync(file, ' after')
    closeSync(file)
    expect([readFileSync(path, 'utf8'), mode(path)]).toEqual(['before after', 0o600])
    closeSync(openPrivate(path, 'w'))
    expect(readFileSync(path, 'utf8')).toBe('')
  })

  it('is never what a symbolic link points to', () => {
    const victim = join(directory, 'victim')
    const link = join(directory, 'link')
    writeFileSync(victim, 'precious')
    symlinkSync(victim, link)
    for (const how of ['a', 'w'] as const)
      expect(() => openPrivate(link, how)).toThrow(
        expect.objectContaining({ code: 'FM_FILE_UNWRITABLE', message: expect.stringContaining('symbolic link') }),
      )
    // A whole file takes the place of the link.
    writePrivate(link, 'mine')
    expect([readFileSync(victim, 'utf8'), readFileSync(link, 'utf8')]).toEqual(['precious', 'mine'])
  })

  it('is no directory, and no place that is not there', () => {
    for (const path of [directory, join(directory, 'none', 'file')])
      expect(() => openPrivate(path, 'w')).toThrow(expect.objectContaining({ code: 'FM_FILE_UNWRITABLE' }))
    expect(() => writePrivate(join(directory, 'none', 'file'), 'x')).toThrow(
      expect.objectContaining({ code: 'FM_FILE_UNWRITABLE' }),
    )
  })

  it.runIf(process.platform === 'linux')('makes directories, and says at once where none can be made', () => {
    const path = join(directory, 'a', 'b', 'c')
    expect(makePrivateDirectory(path)).toBe(true)
    expect(makePrivateDirectory(path)).toBe(false)
    expect(statSync(join(directory, 'a')).mode & 0o777).toBe(0o700)
    expect(() => makePrivateDirectory('/proc/none/state')).toThrow('ENOENT')
    expect(() => makePrivateDirectory('/proc/version/state')).toThrow()
  })

  it('lies in a directory for its owner only; a shared directory stays as it is', () => {
    const own = join(directory, 'own')
    mkdirSync(own, { mode: 0o755 })
    const path = privatePlace(own, 'state.db')
    expect([mode(own), mode(path)]).toEqual([0o700, 0o600])
    const shared = join(directory, 'shared')
    mkdirSync(shared)
    chmodSync(shared, 0o755)
    writeFileSync(join(shared, 'of-others'), '')
    const inside = privatePlace(shared, 'state.db')
    expect([mode(shared), mode(inside), existsSync(join(shared, 'of-others'))]).toEqual([0o755, 0o600, true])
  })
})
