export * from './memcached.js'
export * from './server.js'
export * from './until.js'
export * from './versions.js'
