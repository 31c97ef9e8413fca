import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { load } from 'js-yaml'
import { describe, expect, it } from 'vitest'
import { cli } from './tool.js'

interface Variable {
  readonly name: string
  readonly value?: string
  readonly valueFrom?: {
    readonly secretKeyRef?: { readonly name: string; readonly key: string }
    readonly fieldRef?: object
  }
}

interface Deployment {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly replicas: number
    readonly selector: { readonly matchLabels: Record<string, string> }
    readonly template: {
      readonly metadata: { readonly labels: Record<string, string> }
      readonly spec: {
        readonly terminationGracePeriodSeconds: number
        readonly containers: readonly {
          readonly image: string
          readonly args: readonly string[]
          readonly env: readonly Variable[]
          readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[]
        }[]
        readonly volumes: readonly { readonly name: string }[]
      }
    }
  }
}

const FILE = resolve(import.meta.dirname, '..', '..', '..', 'docs', 'kubernetes', 'worker.yaml')

describe('the Deployment of workers in the documentation', () => {
  const { apiVersion, kind, spec } = load(readFileSync(FILE, 'utf8')) as Deployment
  const [container] = spec.template.spec.containers

  it('is one that Kubernetes takes', () => {
    expect({ apiVersion, kind }).toEqual({ apiVersion: 'apps/v1', kind: 'Deployment' })
    expect(spec.template.metadata.labels).toMatchObject(spec.selector.matchLabels)
    expect(container.volumeMounts.map(({ name }) => name)).toEqual(spec.template.spec.volumes.map(({ name }) => name))
    expect(spec.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(20)
  })

  it('has passwords from secrets alone', () => {
    for (const { name, value, valueFrom } of container.env) {
      expect([name, value === undefined, valueFrom === undefined]).toContain(true)
      if (name.endsWith('_PASSWORD')) expect([name, valueFrom?.secretKeyRef?.name]).toEqual([name, 'ferrite-migrate'])
      else expect([name, value ?? valueFrom?.fieldRef]).not.toContain(undefined)
    }
  })

  it('starts a worker by what the program knows', async () => {
    const { output } = await cli(['worker', '--help'])
    expect(container.args[0]).toBe('worker')
    for (const flag of container.args.filter((arg) => arg.startsWith('--'))) expect(output).toContain(flag)
    for (const { name } of container.env)
      expect(name).toMatch(/^FERRITE_MIGRATE_(QUEUE|MACHINE|STATE_DIR|(QUEUE|SOURCE|TARGET)_PASSWORD)$/)
  })
})
