// What a program needs before it knows its command: nothing of core.
export * from './error-text.js'
export * from './exit-code.js'
export * from './plugins/user-plugins.js'
