export * from './metrics/metrics-listener.js'
export * from './metrics/open-measuring.js'
export * from './metrics/scrape.js'
