#!/usr/bin/env node
var version = process.versions.node.split('.').map(Number)
if (version[0] < 22 || (version[0] === 22 && version[1] < 13)) {
  console.error(`ferrite-migrate needs Node 22.13 or newer; this is ${process.version}.`)
  process.exit(1)
}
import('../dist/start.js').then((program) => program.start(import.meta.url))
