import type { Abilities } from '../abilities.js'

function common<T>(sets: readonly ReadonlySet<T>[]): Set<T> {
  return new Set([...sets[0]].filter((one) => sets.every((set) => set.has(one))))
}

/** What every one of several nodes can: values and commands must suit whichever node has their slot. */
export function leastAbilities(nodes: readonly Abilities[]): Abilities {
  const all = (ability: (node: Abilities) => boolean): boolean => nodes.every(ability)
  const versions = nodes.map(({ rdbVersion }) => rdbVersion)
  const rendering = all((node) => node.rendering === 'restore') ? 'restore' : 'typed'
  const commands = nodes.flatMap((node) => (node.commands === null ? [] : [node.commands]))
  return {
    product: [...new Set(nodes.map(({ product }) => product))].join(' and '),
    rendering,
    rdbVersion: Math.min(...versions),
    rdbTypes: rendering === 'restore' ? common(nodes.map(({ rdbTypes }) => rdbTypes)) : new Set(),
    absoluteRestore: all((node) => node.absoluteRestore),
    setPxat: all((node) => node.setPxat),
    ttlSurvivesWrites: all((node) => node.ttlSurvivesWrites),
    pushOrder: all((node) => node.pushOrder),
    atomicMulti: all((node) => node.atomicMulti),
    xsetid: all((node) => node.xsetid),
    xsetidCounters: all((node) => node.xsetidCounters),
    entriesRead: all((node) => node.entriesRead),
    createConsumer: all((node) => node.createConsumer),
    fieldExpiry: all((node) => node.fieldExpiry),
    hyperLogLog: all((node) => node.hyperLogLog),
    databases: false,
    commands: commands.length === 0 ? null : common(commands),
  }
}
