export * from './server.js'
export * from './versions.js'
