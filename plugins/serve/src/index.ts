export * from './metrics/metrics-listener.js'
export * from './metrics/scrape.js'
