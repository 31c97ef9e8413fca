export * from './measuring.js'
export * from './metric.js'
export * from './metrics-table.js'
export * from './shard-tally.js'
