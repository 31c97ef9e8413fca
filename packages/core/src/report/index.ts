export * from './html-chart.js'
export * from './html-page.js'
export * from './html-treemap.js'
export * from './words.js'
