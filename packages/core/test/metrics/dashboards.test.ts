import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { load } from 'js-yaml'
import { describe, expect, it } from 'vitest'
import { METRICS } from '../../dist/index.js'

const FOLDER = resolve(import.meta.dirname, '..', '..', '..', '..', 'docs', 'grafana')
const text = (name: string): string => readFileSync(resolve(FOLDER, name), 'utf8')
/** What a scrape, and a service of several migrations, put beside each metric's own. */
const ADDED = new Set(['job', 'instance', 'migration'])
const labels = new Map(METRICS.map((metric) => [metric.name, new Set(metric.labels)]))

interface Panel {
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[]
}

/** Names and labels that an expression uses and nothing measures. */
function unknown(expression: string): string[] {
  return [...expression.matchAll(/(ferrite_migrate_[a-z_]+)(?:\{([^}]*)\})?/g)].flatMap(([, name, selector = '']) => {
    const own = labels.get(name)
    if (own === undefined) return [name]
    return [...selector.matchAll(/([a-z]+)=/g)].flatMap(([, label]) =>
      ADDED.has(label) || own.has(label) ? [] : [`${name}{${label}}`],
    )
  })
}

describe('what is given for Grafana and Prometheus', () => {
  const { panels } = JSON.parse(text('ferrite-migrate.json')) as { panels: Panel[] }

  it('asks for nothing that is not measured', () => {
    const asked = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
    const { groups } = load(text('alerts.yml')) as { groups: { rules: { alert: string; expr: string }[] }[] }
    const rules = groups.flatMap((group) => group.rules)
    expect([...asked, ...rules.map(({ expr }) => expr)].flatMap(unknown)).toEqual([])
    expect(rules.length).toBeGreaterThan(5)
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
  })

  it('names each curve by a label that its metric has', () => {
    for (const { targets } of panels)
      for (const { expr, legendFormat } of targets)
        for (const [, label] of legendFormat.matchAll(/\{\{([a-z]+)\}\}/g)) {
          const name = /ferrite_migrate_[a-z_]+/.exec(expr)?.[0]
          if (name !== undefined)
            expect([name, label, ADDED.has(label) || labels.get(name)?.has(label)]).toEqual([name, label, true])
        }
  })

  it('puts no panel onto another', () => {
    const taken = new Map<string, string>()
    for (const { title, gridPos } of panels)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect([title, x < 24, taken.get(`${x} ${y}`)]).toEqual([title, true, undefined])
          taken.set(`${x} ${y}`, title)
        }
  })
})
