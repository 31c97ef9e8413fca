import { printable } from '@ferrite-migrate/contracts'

/** Text as it may stand in HTML. */
export function markup(text: string): string {
  return printable(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`)
}

/** Rows of plain text as a table. */
export function htmlTable(rows: readonly (readonly string[])[], head?: readonly string[]): string {
  const row = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${markup(cell)}</${tag}>`).join('')}</tr>`
  return `<table>${head ? row(head, 'th') : ''}${rows.map((cells) => row(cells, 'td')).join('')}</table>`
}

/** A page that needs nothing else: no script, no file, no network. */
export function htmlPage(title: string, body: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer"><title>${markup(title)}</title>
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}
svg{width:100%;height:auto}polyline{fill:none;stroke:#b5442a;stroke-width:1.5}.frame{fill:#f7f5f2;stroke:#ddd}text{font-size:12px;fill:#555}
.end{text-anchor:end}.none{color:#777}h1{margin-bottom:0}.bar{fill:#b5442a}.tile{stroke:#fff}.tile+text{fill:#fff}</style>
${body}</html>
`
}
