import { describe, expect, it } from 'vitest'
import { circles, roomsOf } from '../dist/circles.js'

const graph = (uses: Record<string, string[]>): Map<string, Set<string>> =>
  new Map(Object.entries(uses).map(([file, used]) => [file, new Set(used)]))

describe('circles', () => {
  it('are told with their shortest path', () => {
    const found = circles(graph({ 'a.ts': ['b.ts'], 'b.ts': ['c.ts'], 'c.ts': ['b.ts', 'd.ts'], 'd.ts': ['b.ts'] }))
    expect(found).toEqual([
      ['b.ts', 'c.ts', 'b.ts'],
      ['d.ts', 'b.ts', 'c.ts', 'd.ts'],
    ])
  })

  it('are not seen where there are none', () => {
    expect(circles(graph({ 'a.ts': ['b.ts', 'c.ts'], 'b.ts': ['c.ts'], 'c.ts': [] }))).toEqual([])
  })

  it('of folders are found though the files have none', () => {
    const files = graph({
      'src/run.ts': ['src/lanes/pool.ts'],
      'src/lanes/pool.ts': ['src/words.ts'],
      'src/words.ts': [],
    })
    expect(circles(files)).toEqual([])
    expect(circles(roomsOf(files))).toEqual([['src', 'src/lanes', 'src']])
  })

  it('are none where only the door of a package opens a folder that uses what lies beside the door', () => {
    const files = graph({
      'src/index.ts': ['src/lanes/pool.ts', 'src/words.ts'],
      'src/lanes/pool.ts': ['src/words.ts'],
      'src/words.ts': [],
    })
    expect(circles(roomsOf(files))).toEqual([])
    files.get('src/words.ts')?.add('src/index.ts')
    expect(circles(roomsOf(files))).not.toEqual([])
  })
})
