import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { DOOR, roomsOf } from './circles.js'
import { importGraph } from './import-graph.js'
import { linkedPlaces, namedPlaces } from './named-places.js'
import { roomFaults, roomTable } from './room-table.js'

/** Documents that name the places of the code. */
const MAPS = ['ARCHITECTURE.md', 'CONTRIBUTING.md']
/** Places may be named as from here, beside the root. */
const CORE = 'packages/core/src'

const root = resolve(import.meta.dirname, '..', '..', '..')
const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const problems: string[] = []

for (const file of MAPS)
  for (const place of namedPlaces(read(file)))
    if (!existsSync(join(root, place)) && !existsSync(join(root, CORE, place)))
      problems.push(`${file}: names ${place}, which is not there`)

for (const file of globSync('{*,docs/*}.md', { cwd: root }))
  for (const link of linkedPlaces(read(file)))
    if (!existsSync(join(root, dirname(file), link))) problems.push(`${file}: links to ${link}, which is not there`)

const rooms = new Map(
  [...roomsOf(importGraph(root, CORE))]
    .filter(([room]) => !DOOR.test(room))
    .map(([room, others]) => [relative(CORE, room), new Set([...others].map((other) => relative(CORE, other)))]),
)
for (const fault of roomFaults(roomTable(read('ARCHITECTURE.md')), rooms))
  problems.push(`ARCHITECTURE.md: in ${CORE} ${fault}`)

if (problems.length > 0) {
  console.error(problems.join('\n'))
  process.exitCode = 1
} else console.log(`${rooms.size} rooms are as their table says, and what the documents name is there.`)
