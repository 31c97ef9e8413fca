export * from './file-feed.js'
