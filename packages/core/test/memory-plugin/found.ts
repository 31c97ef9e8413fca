import { CONTRACT_MAJOR } from '@ferrite-migrate/contracts'
import type { FoundPlugin } from '../../dist/adapters/registry.js'

const adapter = (kind: 'source' | 'target'): object => ({ kind, name: kind, schemes: ['memory'], module: './index.js' })

/** A package with a source and a target over memory; see index.js. */
export const memory: FoundPlugin = {
  name: 'memory',
  root: import.meta.dirname,
  packageJson: { ferriteMigrate: { contract: CONTRACT_MAJOR, adapters: [adapter('source'), adapter('target')] } },
}
