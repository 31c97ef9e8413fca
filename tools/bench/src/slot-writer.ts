import { keySlot, RespWriter } from '@ferrite-migrate/protocol'

/** Deals commands out to the nodes of a cluster, by the slot of their first key. */
export class SlotWriter extends RespWriter {
  /** Commands by node since the last `takeAll`. */
  readonly commands: number[]
  private readonly nodeOf: (slot: number) => number
  private readonly writers: RespWriter[]

  constructor(nodes: number, nodeOf: (slot: number) => number) {
    super(16)
    this.nodeOf = nodeOf
    this.writers = Array.from({ length: nodes }, () => new RespWriter(1 << 16))
    this.commands = this.writers.map(() => 0)
  }

  override call(...argv: readonly (Buffer | string | number)[]): void {
    const node = this.nodeOf(keySlot(Buffer.from(String(argv[1]))))
    this.writers[node].call(...argv)
    this.commands[node]++
  }

  /** What each node gets, in memory of its own. */
  takeAll(): { readonly data: Buffer; readonly commands: number }[] {
    return this.writers.map((writer, node) => {
      const commands = this.commands[node]
      this.commands[node] = 0
      return { data: Buffer.from(writer.take()), commands }
    })
  }
}
