export * from './file-feed.js'
export * from './private-file.js'
