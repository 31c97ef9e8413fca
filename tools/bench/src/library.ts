export * from './dataset.js'
export * from './random.js'
export * from './writer.js'
