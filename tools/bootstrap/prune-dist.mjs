// Takes out of `dist` what no source makes any more, before a package is built: a command or an adapter whose source is gone would
// be found there for as long as the folder lives. Called in the folder of a package.
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const MADE = /\.(d\.ts|d\.ts\.map|js|js\.map)$/

const sourceOf = (path) => ['.ts', '.tsx'].some((end) => existsSync(join('src', path.replace(MADE, end))))

if (existsSync('dist'))
  for (const path of readdirSync('dist', { recursive: true, encoding: 'utf8' }))
    if (MADE.test(path) && !sourceOf(path)) rmSync(join('dist', path))
