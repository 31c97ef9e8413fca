// biome-ignore-all lint/a11y/noRedundantRoles: on a narrow page rows are blocks, which browsers take for no part of a table
import type { ComponentChildren } from 'preact'

interface TableProps {
  readonly head: readonly string[]
  /** Columns that hold figures, from 0. */
  readonly figures?: readonly number[]
  readonly rows: readonly (readonly ComponentChildren[])[]
  readonly label: string
}

/** Rows under a head. What does not fit is scrolled to, also by keyboard. */
export function Table({ head, figures = [], rows, label }: TableProps) {
  const name = (column: number): string =>
    figures.includes(column) ? 'n' : head[column]?.startsWith('Time') ? 'time' : ''
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached by keyboard
    <section class="wide" aria-label={label} tabIndex={0}>
      <table role="table">
        <thead role="rowgroup">
          <tr role="row">
            {head.map((text, i) => (
              <th key={text} class={name(i)} role="columnheader" scope="col">
                {text}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map((cells, row) => (
            <tr key={row} role="row">
              {cells.map((cell, i) => (
                <td key={i} class={name(i)} role="cell" data-name={head[i]}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}
