#!/usr/bin/env node
import('../dist/run.js').then(({ run }) => run(process.argv.slice(2)))
