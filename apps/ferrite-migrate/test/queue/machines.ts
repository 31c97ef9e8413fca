import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { TestNode, until } from '@ferrite-migrate/servers'
import { command, stateDir } from '../run.js'
import { stops } from '../servers.js'
import { Tool } from '../tool.js'

/** A worker of a queue, as `hgetall` of its signs of life tells. */
interface Sign {
  readonly name: string
  readonly host: string
  readonly pid: number
  readonly migration: string | null
  readonly shard: string | null
}

const LIVES_MS = 3000

/** A queue on a server of its own, that forgets nothing. */
export async function startQueue(): Promise<TestNode> {
  const node = await TestNode.start({
    ...{ version: '7.0', persistent: true, password: undefined },
    args: ['--appendfsync', 'always'],
  })
  stops.push(() => node.stop())
  return node
}

export function queueUrl(queue: TestNode): string {
  return `redis://127.0.0.1:${queue.port}`
}

/** Workers that live now. */
export async function signs(queue: TestNode): Promise<Sign[]> {
  const fields = (await command(queueUrl(queue), 'HVALS', '{ferrite-migrate}:workers')) as Buffer[]
  return fields.flatMap((text) => {
    const { at, facts } = JSON.parse(String(text)) as { at: number; facts: string }
    return Date.now() - at < LIVES_MS ? [JSON.parse(facts) as Sign] : []
  })
}

/** Whoever has a shard, by its name. */
export async function holders(
  queue: TestNode,
  id: string,
): Promise<Map<string, { by: string; pid: number; epoch: number }>> {
  const fields = (await command(queueUrl(queue), 'HGETALL', `{ferrite-migrate}:run:${id}:holders`)) as Buffer[]
  const found = new Map<string, { by: string; pid: number; epoch: number }>()
  for (let i = 0; i < fields.length; i += 2) found.set(String(fields[i]), JSON.parse(String(fields[i + 1])))
  return found
}

/** A machine on which `worker` runs: a process, its children, a name and a state directory of its own. */
export class Machine {
  readonly name: string
  private readonly queue: string
  private readonly cutFile = join(mkdtempSync(join(tmpdir(), 'fm-cut-')), 'cut.json')
  private readonly directory = stateDir()
  private readonly concurrency: number
  private readonly secrets: NodeJS.ProcessEnv
  private tool: Tool

  constructor(name: string, queue: TestNode, concurrency = 2, secrets: NodeJS.ProcessEnv = {}) {
    this.name = name
    this.secrets = secrets
    this.queue = queueUrl(queue)
    this.concurrency = concurrency
    this.tool = this.launch()
    stops.push(() => this.stop())
  }

  get output(): string {
    return this.tool.output
  }

  /** kill -9 of all, and the machine comes back. */
  async crash(): Promise<void> {
    await this.tool.kill()
    this.tool = this.launch()
  }

  /** From now on nothing comes or goes by these ports. @param pid of one process alone */
  cutOff(ports: readonly number[], pid?: number): void {
    writeFileSync(this.cutFile, JSON.stringify({ ports, ...(pid === undefined ? {} : { pid }) }))
  }

  heal(): void {
    rmSync(this.cutFile, { force: true })
  }

  /** Gracefully. */
  async leave(): Promise<void> {
    this.tool.child.kill('SIGTERM')
    await this.tool.over
  }

  async stop(): Promise<void> {
    this.heal()
    await this.tool.kill()
  }

  private launch(): Tool {
    const preload = resolve(import.meta.dirname, 'cut-off.cjs')
    return new Tool(
      ['worker', '--queue', this.queue, '--concurrency', `${this.concurrency}`, '--state-dir', this.directory],
      {
        ...this.secrets,
        FERRITE_MIGRATE_MACHINE: this.name,
        FERRITE_MIGRATE_TEST_CUT: this.cutFile,
        NODE_OPTIONS: `--require ${preload}`,
      },
    )
  }
}

/** Until every one of these shards has a worker of its own, as it is again once slots are at rest. */
export async function eachHeld(queue: TestNode, id: string, count: number): Promise<void> {
  await until(async () => {
    const living = (await signs(queue)).filter(({ migration }) => migration === id)
    const shards = new Set(living.map(({ shard }) => shard))
    return shards.size >= count && !shards.has('*')
  }, 'a worker of its own for each shard')
}

/** Until every one of these shards has a worker that lives. */
export async function allHeld(queue: TestNode, id: string, count: number): Promise<void> {
  await until(async () => {
    const living = (await signs(queue)).filter(({ migration }) => migration === id)
    return living.some(({ shard }) => shard === '*') || new Set(living.map(({ shard }) => shard)).size >= count
  }, 'a worker for each shard')
}
