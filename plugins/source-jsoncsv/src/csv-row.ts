import type { Row } from './row.js'

/** The columns of a table by name. */
export class Columns {
  readonly names: readonly string[]
  private readonly places: ReadonlyMap<string, number>

  constructor(names: readonly string[]) {
    this.names = names
    this.places = new Map(names.map((name, i) => [name, i]))
  }

  place(name: string): number {
    return this.places.get(name) ?? -1
  }
}

/** One row of a table. */
export class CsvRow implements Row {
  readonly line: number
  private readonly columns: Columns
  private readonly cells: readonly string[]

  constructor(line: number, columns: Columns, cells: readonly string[]) {
    this.line = line
    this.columns = columns
    this.cells = cells
  }

  text(field: string): string | undefined {
    return this.cells[this.columns.place(field)]
  }

  flat(): string[] {
    const { names } = this.columns
    const out: string[] = []
    for (let i = 0; i < names.length; i++) out.push(names[i], this.cells[i])
    return out
  }

  json(): string {
    const { names } = this.columns
    let out = '{'
    for (let i = 0; i < names.length; i++)
      out += `${i === 0 ? '' : ','}${JSON.stringify(names[i])}:${JSON.stringify(this.cells[i])}`
    return `${out}}`
  }
}
