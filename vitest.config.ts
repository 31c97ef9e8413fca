import { defineConfig } from 'vitest/config'
import { CountReporter } from './tools/lint/count-reporter.ts'

export default defineConfig({
  test: {
    include: ['{packages,plugins,apps,tools}/*/test/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 240_000,
    pool: 'forks',
    // More than a small machine has cores: most tests wait for servers.
    maxWorkers: 3,
    reporters: ['default', new CountReporter()],
  },
})
