import { parseArgs } from 'node:util'
import { CASES } from './cases.js'
import { type Checkout, checkout, here } from './checkout.js'
import { compared, type Figures, verdict } from './ratios.js'

const USAGE = `npm run bench:compare -- REV [${Object.keys(CASES).join('] [')}] [--keys N] [--rounds N]

Runs the program of a revision (or of a folder with a built checkout) and that of this folder in turn, on the same servers, and tells
what the change costs: medians, and now to before by rounds that followed each other, with the least and the greatest. REV may be this
revision itself, which tells how much rounds differ that should not.`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    keys: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
    help: { type: 'boolean' },
  },
})
const [revision, ...wanted] = positionals
const names = wanted.length > 0 ? wanted : ['mixed', 'L1', 'verify', 'version']
const unknown = names.filter((name) => !(name in CASES))
const [keys, rounds] = [Number(values.keys), Number(values.rounds)]
if (revision === undefined || unknown.length > 0 || values.help || !(keys >= 1000) || !(rounds >= 1)) {
  console.log(unknown.length > 0 ? `There is no case ${unknown.join(', ')}.\n\n${USAGE}` : USAGE)
  process.exit(values.help ? 0 : 2)
}

const before = opened(revision)
try {
  const now = here()
  console.log(`before: ${before.name}, now: ${now.name}, ${rounds} rounds\n`)
  console.log('| case | figure | before | now | now to before | spread | |')
  console.log('|---|---|---|---|---|---|---|')
  for (const name of names) {
    const one = await CASES[name](keys)
    const measured: { before: Figures; now: Figures }[] = []
    try {
      for (let round = 0; round < rounds; round++) {
        // Whoever comes second finds the memory that the first one left: so they take turns.
        const first = round % 2 === 0 ? before : now
        const a = await one.run(first.bin)
        const b = await one.run(first === before ? now.bin : before.bin)
        measured.push(first === before ? { before: a, now: b } : { before: b, now: a })
      }
    } finally {
      await one.close()
    }
    for (const row of compared(measured))
      console.log(
        `| ${name} | ${row.figure} | ${row.before.toFixed(2)} | ${row.now.toFixed(2)} | ${row.ratio.toFixed(3)} | ${row.least.toFixed(3)} to ${row.most.toFixed(3)} | ${verdict(row)} |`,
      )
  }
} finally {
  before.remove()
}

/** Ends the process where there is no such state of the project. */
function opened(name: string): Checkout {
  try {
    return checkout(name)
  } catch (error) {
    console.error((error as Error).message)
    process.exit(2)
  }
}
