import { markup } from './html-page.js'
import { formatBytes, formatCount } from './words.js'

/** Something that has a size in memory and in number, and parts of its own. */
export interface TreeNode {
  readonly prefix: string
  readonly keys: number
  readonly bytes: number
  readonly children: readonly TreeNode[]
}

const WIDTH = 860
const HEIGHT = 360
const COLOURS = ['#a23d26', '#2a6f97', '#56752a', '#85569a', '#9a6a12', '#34706a', '#75483c', '#475688']
/** Prefixes that can be entered; more would make a page too large. */
const SECTIONS = 200

interface Tile {
  readonly node: TreeNode
  readonly size: number
}

interface Place {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** The same prefix has the same colour wherever it stands. */
function colourOf(text: string): string {
  let hash = 7
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return COLOURS[Math.abs(hash) % COLOURS.length]
}

/** Places whose areas are the sizes: each cut splits what is left in two halves along its longer side. */
export function placeTiles<T extends { readonly size: number }>(
  list: readonly T[],
  at: Place,
): (readonly [T, Place])[] {
  if (list.length === 0) return []
  if (list.length === 1) return [[list[0], at]]
  const total = list.reduce((sum, { size }) => sum + size, 0)
  let head = 0
  let cut = 0
  while (cut < list.length - 1 && (cut === 0 || head + list[cut].size / 2 < total / 2)) head += list[cut++].size
  const share = head / total
  const { x, y, width, height } = at
  const [first, second]: [Place, Place] =
    width >= height
      ? [
          { x, y, width: width * share, height },
          { x: x + width * share, y, width: width * (1 - share), height },
        ]
      : [
          { x, y, width, height: height * share },
          { x, y: y + height * share, width, height: height * (1 - share) },
        ]
  return [...placeTiles(list.slice(0, cut), first), ...placeTiles(list.slice(cut), second)]
}

/** A map of prefixes that is entered by links and shows memory or counts, without a script. */
export function treemap(root: TreeNode): string {
  const ids = new Map<TreeNode, number>()
  const parents = new Map<TreeNode, TreeNode>()
  const queue: TreeNode[] = [root]
  for (let node = queue.shift(); node !== undefined && ids.size < SECTIONS; node = queue.shift()) {
    ids.set(node, ids.size)
    for (const child of node.children) {
      parents.set(child, node)
      if (child.children.length > 0) queue.push(child)
    }
  }
  const map = (node: TreeNode, by: 'bytes' | 'keys'): string => {
    const tiles: Tile[] = node.children
      .filter((child) => child[by] > 0)
      .map((child) => ({ node: child, size: child[by] }))
      .sort((a, b) => b.size - a.size)
    const drawn = placeTiles(tiles, { x: 0, y: 0, width: WIDTH, height: HEIGHT }).map(([{ node: child }, place]) => {
      const name = child.prefix === '' ? '(no name)' : child.prefix
      const figure = by === 'bytes' ? formatBytes(child.bytes) : formatCount(child.keys)
      const room = Math.floor((place.width - 8) / 7)
      const label =
        place.height > 18 && room >= 3
          ? `<text class="label" x="${(place.x + 4).toFixed(1)}" y="${(place.y + 15).toFixed(1)}">${markup(`${name} ${figure}`.length <= room ? `${name} ${figure}` : name.slice(0, room))}</text>`
          : ''
      const tile = `<rect class="tile" x="${place.x.toFixed(1)}" y="${place.y.toFixed(1)}" width="${place.width.toFixed(1)}" height="${place.height.toFixed(1)}" fill="${colourOf(child.prefix)}"><title>${markup(`${name}: ${formatCount(child.keys)} keys, ${formatBytes(child.bytes)}`)}</title></rect>${label}`
      const id = ids.get(child)
      return id === undefined ? tile : `<a href="#p-${id}">${tile}</a>`
    })
    return `<svg class="${by === 'bytes' ? 'memory' : 'count'}" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${markup(`${node.prefix || 'all keys'} by ${by === 'bytes' ? 'memory' : 'number of keys'}`)}">${drawn.join('')}</svg>`
  }
  const path = (node: TreeNode): string => {
    const steps: string[] = []
    for (let at: TreeNode | undefined = node; at !== undefined; at = parents.get(at)) {
      const name = markup(at === root ? 'all keys' : at.prefix)
      steps.unshift(at === node ? `<b>${name}</b>` : `<a href="#p-${ids.get(at)}">${name}</a>`)
    }
    return steps.join(' › ')
  }
  const sections = [...ids.keys()].map(
    (node) =>
      `<section class="map${node === root ? ' first' : ''}" id="p-${ids.get(node)}"><p>${path(node)}: ${formatCount(node.keys)} keys, ${formatBytes(node.bytes)}</p>${map(node, 'bytes')}${map(node, 'keys')}</section>`,
  )
  return `<p><label><input type="radio" name="by" id="by-memory" checked> by memory</label> <label><input type="radio" name="by" id="by-count"> by number of keys</label></p>${sections.join('\n')}`
}
