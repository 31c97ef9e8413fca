import { describe, expect, it } from 'vitest'
import { roomFaults, roomTable } from '../dist/room-table.js'

const TABLE = `
| package | may use |
| ------- | ------- |
| core    | protocol |

| room          | what lives there | may import       |
| ------------- | ---------------- | ---------------- |
| \`words\`       | texts            | -                |
| \`run/lanes\`   | lanes            | words            |
| \`run\`         | one run          | words, run/lanes |
| \`page\`        | what is shown    | run              |
| metrics       | numbers          | everything above |

| where | in |
| ----- | -- |
| a lane | \`run/lanes\` |
`

const graph = (uses: Record<string, string[]>): Map<string, Set<string>> =>
  new Map(Object.entries(uses).map(([room, used]) => [room, new Set(used)]))

describe('the table of rooms', () => {
  it('is read from its own head to its end', () => {
    expect(roomTable(TABLE)).toEqual([
      { name: 'words', mayImport: [] },
      { name: 'run/lanes', mayImport: ['words'] },
      { name: 'run', mayImport: ['words', 'run/lanes'] },
      { name: 'page', mayImport: ['run'] },
      { name: 'metrics', mayImport: ['words', 'run/lanes', 'run', 'page'] },
    ])
  })

  it('is empty where there is none', () => {
    expect(roomTable('# Nothing\n')).toEqual([])
  })
})

describe('rooms', () => {
  const rooms = roomTable(TABLE)

  it('may import what their row names, the folders in it included', () => {
    const uses = { '': ['run', 'words'], run: ['run/lanes'], page: ['run', 'run/lanes'], metrics: ['words'] }
    expect(roomFaults(rooms, graph(uses))).toEqual([])
  })

  it('may import nothing else', () => {
    expect(roomFaults(rooms, graph({ 'run/lanes': ['run'], words: [] }))).toEqual([
      'run/lanes imports run, which its row in the table of rooms does not name',
    ])
  })

  it('stand below those that their rows name', () => {
    const upwards = [
      { name: 'words', mayImport: ['run'] },
      { name: 'run', mayImport: [] },
    ]
    expect(roomFaults(upwards, graph({}))).toEqual(['the row of words names run, which is no row above it'])
  })

  it('have each a row', () => {
    expect(roomFaults(rooms, graph({ 'run/events': [] }))).toEqual(['run/events has no row in the table of rooms'])
  })
})
