import { createRequire } from 'node:module'
import type { Event, Node } from 'js-yaml'

const load = createRequire(import.meta.url)
/** Memory that a run without a file does not need. */
const library = (): typeof import('js-yaml') => load('js-yaml') as typeof import('js-yaml')

/** Aliases that are followed, each as often as it comes: those of aliases count again. */
const MOST_ALIASES = 100

/** Something wrong at one place of a text. */
export interface Problem {
  readonly offset: number
  readonly text: string
}

/** A scalar, and the names of the fields that it stands under. */
export interface PlacedScalar {
  readonly offset: number
  readonly names: readonly string[]
  /** Written without quotes. */
  readonly plain: boolean
  text: string
  /** Is text, whatever it looks like. */
  isText: boolean
}

/** A YAML text as a tree that knows where everything stands. */
export class YamlTree {
  private readonly root: Node | null
  private readonly offsets = new Map<Node, number>()
  private readonly targets = new Map<Node, Node>()
  private readonly scalars = new Map<Node, PlacedScalar>()
  private aliases = 0

  private constructor(root: Node | null) {
    this.root = root
  }

  /** @returns the tree, or what is wrong with the text */
  static parse(text: string): YamlTree | Problem {
    const { parseEvents, eventsToAst, visit, CORE_SCHEMA, EVENT_ID, YAMLException } = library()
    try {
      const events = parseEvents(text, {})
      const documents = eventsToAst(events, { source: text, schema: CORE_SCHEMA })
      if (documents.length > 1) return { offset: 0, text: 'it has several documents' }
      const tree = new YamlTree(documents[0]?.contents ?? null)
      // The library gives places with the events only; its tree has a node for each that opens something or is a value.
      const placed = events.filter(({ type }) => type !== EVENT_ID.DOCUMENT && type !== EVENT_ID.POP)
      // An anchor may be given again: an alias means the last one before it.
      const anchors = new Map<string, Node>()
      let at = 0
      visit(documents, (node) => {
        tree.offsets.set(node, offsetOf(placed[at++]))
        if (node.kind === 'alias') {
          const target = anchors.get(node.anchor)
          if (target !== undefined) tree.targets.set(node, target)
        } else if (node.anchor !== undefined) anchors.set(node.anchor, node)
      })
      if (tree.root !== null) tree.name(tree.root, [])
      return tree.twice() ?? tree
    } catch (error) {
      if (!(error instanceof YAMLException)) throw error
      return { offset: error.mark?.position ?? 0, text: error.reason }
    }
  }

  /** Values, without the names of fields. What is set in one is in `toJs`. */
  get values(): Iterable<PlacedScalar> {
    return this.scalars.values()
  }

  /** Where a field stands: at its name, or the nearest thing that is there. */
  offsetOf(path: readonly (string | number)[]): number {
    let node = this.root
    let offset = node === null ? 0 : this.offset(node)
    for (const step of path) {
      const target: Node | undefined = node === null ? undefined : this.followed(node)
      if (target?.kind === 'mapping') {
        const pair = target.items.find(({ key }) => key.kind === 'scalar' && key.value === String(step))
        if (pair === undefined) break
        offset = this.offset(pair.key)
        node = pair.value
      } else if (target?.kind === 'sequence') {
        const item = target.items[Number(step)]
        if (item === undefined) break
        offset = this.offset(item)
        node = item
      } else break
    }
    return offset
  }

  /** The values. @throws Error when aliases multiply, or stand in what they name */
  toJs(): unknown {
    this.aliases = 0
    return this.root === null ? undefined : this.value(this.root, new Set())
  }

  private value(node: Node, within: ReadonlySet<Node>): unknown {
    switch (node.kind) {
      case 'scalar': {
        const scalar = this.scalars.get(node)
        const text = scalar?.text ?? node.value
        if (scalar?.isText !== false) return text
        const { load: read, CORE_SCHEMA } = library()
        return text === '' ? null : read(text, { schema: CORE_SCHEMA })
      }
      case 'sequence':
        return node.items.map((item) => this.value(item, new Set(within).add(node)))
      case 'mapping':
        return Object.fromEntries(
          node.items.map(({ key, value }) => [
            String(key.kind === 'scalar' ? key.value : ''),
            this.value(value, new Set(within).add(node)),
          ]),
        )
      default: {
        const target = this.followed(node)
        if (target === undefined) throw new Error(`there is no anchor &${node.anchor}`)
        if (within.has(target)) throw new Error(`*${node.anchor} stands in what it names`)
        if (++this.aliases > MOST_ALIASES) throw new Error(`its aliases come to more than ${MOST_ALIASES} values`)
        return this.value(target, within)
      }
    }
  }

  private followed(node: Node): Node | undefined {
    return node.kind === 'alias' ? this.targets.get(node) : node
  }

  private offset(node: Node): number {
    return this.offsets.get(node) ?? 0
  }

  private name(node: Node, names: readonly string[]): void {
    const { SCALAR_STYLE } = library()
    if (node.kind === 'scalar')
      this.scalars.set(node, {
        offset: this.offset(node),
        names,
        plain: node.style === SCALAR_STYLE.PLAIN,
        text: node.value,
        isText: /(:|!!)str$/.test(node.tag),
      })
    else if (node.kind === 'sequence') for (const item of node.items) this.name(item, names)
    else if (node.kind === 'mapping')
      for (const { key, value } of node.items) this.name(value, [...names, key.kind === 'scalar' ? key.value : ''])
  }

  /** A field that is there twice, or has no name. */
  private twice(): Problem | null {
    for (const node of this.offsets.keys()) {
      if (node.kind !== 'mapping') continue
      const names = new Set<string>()
      for (const { key } of node.items) {
        if (key.kind !== 'scalar') return { offset: this.offset(key), text: 'the name of a field must be a word' }
        if (names.has(key.value)) return { offset: this.offset(key), text: `${key.value.slice(0, 60)} is there twice` }
        names.add(key.value)
      }
    }
    return null
  }
}

function offsetOf(event: Event): number {
  if ('valueStart' in event) return event.valueStart
  if ('start' in event) return event.start
  return 'anchorStart' in event ? Math.max(0, event.anchorStart) : 0
}

/** A value as YAML text, for a person to read and change. */
export function yamlText(value: unknown): string {
  return library().dump(value)
}
