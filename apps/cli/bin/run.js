#!/usr/bin/env node
var version = process.versions.node.split('.').map(Number)
if (version[0] < 22 || (version[0] === 22 && version[1] < 13)) {
  console.error(`ferrite-migrate needs Node 22.13 or newer; this is ${process.version}.`)
  process.exit(1)
}
Promise.all([import('node:module'), import('../dist/cache-directory.js')])
  .then(([module, own]) => {
    const directory = own.cacheDirectory(process.env)
    if (directory !== null) module.enableCompileCache(directory)
    return import('../dist/main.js')
  })
  .then((main) => main.run(process.argv.slice(2), import.meta.url))
