export { MigrateError } from '@ferrite-migrate/contracts'
export * from '@ferrite-migrate/core'
export { defaultRegistry } from './default-registry.js'
