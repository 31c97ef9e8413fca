export * from './comparison.js'
export * from './deep-difference.js'
export * from './encoded-bytes.js'
export * from './html-comparison.js'
