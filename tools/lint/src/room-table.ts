import type { ImportGraph } from './circles.js'

/** A folder of a package as the table of rooms has it. */
export interface Room {
  readonly name: string
  /** A name stands for the folder and those in it. */
  readonly mayImport: readonly string[]
}

const NAME = /^`?([a-z][a-z/-]*)`?$/
/** The word of a row that may import every room before it. */
const ALL = 'everything above'

/** The rows of the table whose first column is `room` and whose last one tells what the room may import: names with commas, or `-`. */
export function roomTable(text: string): Room[] {
  const lines = text.split('\n')
  const head = lines.findIndex((line) => /^\| room\b/.test(line))
  const rooms: Room[] = []
  for (let at = head + 2; head >= 0 && lines[at]?.startsWith('|'); at++) {
    const cells = lines[at].split('|').map((cell) => cell.trim())
    const [, name] = NAME.exec(cells[1]) ?? []
    if (name === undefined) continue
    const may = cells[cells.length - 2]
    const names = may === ALL ? rooms.map((room) => room.name) : may.split(', ').filter((one) => one !== '-')
    rooms.push({ name, mayImport: names })
  }
  return rooms
}

/**
 * Where the rooms of a package are not as its table says.
 * @param graph its folders by their place in it; '' = its own files, which may import every room
 */
export function roomFaults(rooms: readonly Room[], graph: ImportGraph): string[] {
  const faults: string[] = []
  for (const [at, { name, mayImport }] of rooms.entries())
    for (const other of mayImport)
      if (!rooms.slice(0, at).some((above) => above.name === other))
        faults.push(`the row of ${name} names ${other}, which is no row above it`)
  for (const [room, imported] of graph) {
    if (room === '') continue
    const row = rooms.find(({ name }) => name === room)
    if (row === undefined) {
      faults.push(`${room} has no row in the table of rooms`)
      continue
    }
    for (const other of imported)
      if (!row.mayImport.some((name) => other === name || other.startsWith(`${name}/`)))
        faults.push(`${room} imports ${other}, which its row in the table of rooms does not name`)
  }
  return faults
}
