export * from './file-feed.js'
export * from './file-mark.js'
export * from './private-file.js'
export * from './row-scheme.js'
