export * from '../records/deep-difference.js'
export * from '../records/encoded-bytes.js'
export * from './comparison.js'
export * from './html-comparison.js'
