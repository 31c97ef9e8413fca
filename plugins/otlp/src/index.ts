export * from './open-measuring.js'
