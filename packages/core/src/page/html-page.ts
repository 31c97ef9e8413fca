import { printable } from '@ferrite-migrate/contracts'

/** Text as it may stand in HTML. */
export function markup(text: string): string {
  return printable(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`)
}

/** A figure, which stands at the right: `1,234`, `12.5 MB`, `3m 2s`, `-`. */
const FIGURE = /^(-|[\d,]+(\.\d+)?( ?(B|[KMGTP]B|ms|s|%|\/s))?)$/

/** Rows of plain text as a table; columns in which all cells are figures stand at the right. */
export function htmlTable(rows: readonly (readonly string[])[], head?: readonly string[]): string {
  const width = Math.max(head?.length ?? 0, ...rows.map((cells) => cells.length))
  const figures = Array.from({ length: width }, (_, i) =>
    head === undefined ? false : rows.every((cells) => cells[i] === undefined || FIGURE.test(cells[i])),
  )
  const row = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell, i) => `<${tag}${figures[i] ? ' class="n"' : ''}>${markup(cell)}</${tag}>`).join('')}</tr>`
  return `<div class="wide"><table${head ? '' : ' class="facts"'}>${head ? row(head, 'th') : ''}${rows.map((cells) => row(cells, 'td')).join('')}</table></div>`
}

/** What a page says before all else: a word, and the figures that matter most. */
export function verdict(
  kind: 'good' | 'bad' | 'warn',
  word: string,
  figures: readonly (readonly [name: string, value: string])[],
): string {
  return `<header class="verdict ${kind}"><p class="badge">${markup(word)}</p><dl>${figures
    .map(([name, value]) => `<div><dt>${markup(name)}</dt><dd>${markup(value)}</dd></div>`)
    .join('')}</dl></header>`
}

/** The style of all pages. */
export const PAGE_STYLE = `:root{color-scheme:light dark;--ink:#222;--soft:#666;--line:#ddd;--back:#fff;--panel:#f7f5f2;--accent:#b5442a;--second:#2a6f97;--good:#2f7d32;--bad:#b3261e;--warn:#9a6700}
@media (prefers-color-scheme:dark){:root{--ink:#e6e3df;--soft:#a09b94;--line:#3a3733;--back:#171614;--panel:#211f1c;--accent:#e8745a;--second:#6db3dc;--good:#7cc47f;--bad:#f2837a;--warn:#e0b050}}
body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2rem auto;padding:0 1rem;color:var(--ink);background:var(--back)}
h1{margin:0 0 .5rem;overflow-wrap:anywhere}h2{margin-top:2.2rem;border-bottom:2px solid var(--line)}a{color:var(--second)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere;min-width:8ch}
th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.facts td:first-child{color:var(--soft);width:14rem}
.verdict{border-left:6px solid var(--soft);background:var(--panel);padding:.8rem 1.2rem;margin:1rem 0 1.5rem}.badge{font-weight:700;font-size:1.2rem;margin:0}
.good{border-color:var(--good)}.good .badge{color:var(--good)}.bad{border-color:var(--bad)}.bad .badge{color:var(--bad)}.warn{border-color:var(--warn)}.warn .badge{color:var(--warn)}
dl{display:flex;flex-wrap:wrap;gap:.4rem 3rem;margin:.4rem 0 0}dt{color:var(--soft);font-size:.85rem}dd{margin:0;font-size:1.7rem;font-variant-numeric:tabular-nums}
svg{width:100%;height:auto}polyline{fill:none;stroke:var(--accent);stroke-width:1.5;stroke-linejoin:round}polyline.b{stroke:var(--second)}
.frame{fill:var(--panel);stroke:var(--line)}.grid{stroke:var(--line);stroke-width:1}.band{fill:var(--second);opacity:.08}.band.odd{opacity:.16}.mark{stroke:var(--ink);stroke-dasharray:4 3}
text{font-size:12px;fill:var(--soft)}.end{text-anchor:end}.middle{text-anchor:middle}.none{color:var(--soft)}.bar{fill:var(--accent)}.tile{stroke:var(--back);stroke-width:1.5}.label{fill:#fff}
ul.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.4rem;padding:0;margin:.3rem 0}.swatch{display:inline-block;width:.8em;height:.8em;margin-right:.4em;border-radius:2px}
.phase-0{fill:#8a8178;background:#8a8178}.phase-1{fill:#2a6f97;background:#2a6f97}.phase-2{fill:#56752a;background:#56752a}.phase-3{fill:#85569a;background:#85569a}.phase-4{fill:#b5442a;background:#b5442a}.phase-5{fill:#9a6a12;background:#9a6a12}.phase-6{fill:#34706a;background:#34706a}.phase-7{fill:#75483c;background:#75483c}
mark{background:color-mix(in srgb,var(--accent) 35%,transparent);color:inherit}summary{cursor:pointer;padding:.3rem 0}code,.key{font-family:ui-monospace,monospace;font-size:.9em}
.map{display:none}.map:target{display:block}body:not(:has(.map:target)) .map.first{display:block}body:has(#by-count:checked) .memory,body:has(#by-memory:checked) .count{display:none}
@media (max-width:600px){.wide td,.wide th{overflow-wrap:break-word;min-width:4rem}body{margin:1rem auto}dd{font-size:1.3rem}.facts tr,.facts td{display:block;width:auto;border:0;padding:.1rem 0}.facts td:first-child{width:auto;padding-top:.5rem}}
@media print{body{max-width:none}details{display:block}}`

/** A page that needs nothing else: no script, no file, no network. */
export function htmlPage(title: string, body: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer"><title>${markup(title)}</title>
<style>${PAGE_STYLE}</style>
${body}</html>
`
}
