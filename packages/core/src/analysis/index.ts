export * from './html-analysis.js'
export * from './key-patterns.js'
export * from './key-statistics.js'
export * from './rdb-analysis.js'
