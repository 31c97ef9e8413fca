import { PAGE_STYLE } from '@ferrite-migrate/core/page'
import { defineConfig, type Plugin } from 'vite'

const NAME = 'virtual:page-style.css'

/** The style that the reports have, as a file: a page under a strict policy takes none from a script. */
function pageStyle(): Plugin {
  return {
    name: 'page-style',
    resolveId: (id) => (id === NAME ? `\0${NAME}` : undefined),
    load: (id) => (id === `\0${NAME}` ? PAGE_STYLE : undefined),
  }
}

export default defineConfig({
  base: './',
  plugins: [pageStyle()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: { modulePreload: { polyfill: false }, assetsInlineLimit: 0, target: 'es2023' },
})
