/** What uses what: the names of files or rooms, each with those it imports. */
export type ImportGraph = ReadonlyMap<string, ReadonlySet<string>>

/**
 * The circles of a graph, shortest for the node that each begins with; none begins with a node of an earlier one. A circle is
 * given as its path, the first node again at its end.
 */
export function circles(graph: ImportGraph): string[][] {
  const found: string[][] = []
  const settled = new Set<string>()
  for (const start of [...graph.keys()].sort()) {
    if (settled.has(start)) continue
    const path = wayBack(graph, start)
    if (path === null) continue
    for (const node of path) settled.add(node)
    found.push(path)
  }
  return found
}

/** The shortest way from a node to itself; null = there is none. */
function wayBack(graph: ImportGraph, start: string): string[] | null {
  const cameFrom = new Map<string, string>()
  const waiting = [start]
  for (let node = waiting.shift(); node !== undefined; node = waiting.shift())
    for (const next of graph.get(node) ?? []) {
      if (next === start) {
        const path = [start]
        for (let at = node; at !== start; at = cameFrom.get(at) ?? start) path.unshift(at)
        return [start, ...path]
      }
      if (cameFrom.has(next)) continue
      cameFrom.set(next, node)
      waiting.push(next)
    }
  return null
}

/** What a package gives to others: it opens every room, and nothing in them uses it. */
export const DOOR = /(^|\/)src\/index\.ts$/

/** The graph of the folders that files lie in: a folder is one room with the files right in it, but for the door of a package. */
export function roomsOf(files: ImportGraph): ImportGraph {
  const rooms = new Map<string, Set<string>>()
  const roomOf = (file: string): string => (DOOR.test(file) ? file : file.slice(0, Math.max(0, file.lastIndexOf('/'))))
  for (const [file, used] of files) {
    const room = roomOf(file)
    const others = rooms.get(room) ?? new Set<string>()
    rooms.set(room, others)
    for (const one of used) if (roomOf(one) !== room) others.add(roomOf(one))
  }
  return rooms
}
