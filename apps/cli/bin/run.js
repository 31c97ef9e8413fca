#!/usr/bin/env node
var version = process.versions.node.split('.').map(Number)
if (version[0] < 22 || (version[0] === 22 && version[1] < 13)) {
  console.error(`ferrite-migrate needs Node 22.13 or newer; this is ${process.version}.`)
  process.exit(1)
}
// Both packages are installed in one folder, as npm does with what one of them needs, and have this name for their program: whoever
// installed the whole program wants that one.
var whole = new URL('../../../ferrite-migrate/bin/run.js', import.meta.url)
if (process.getBuiltinModule('node:fs').existsSync(whole)) import(whole.href)
else import('../dist/start.js').then((program) => program.start(import.meta.url))
