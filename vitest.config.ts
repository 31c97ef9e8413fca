import { defineConfig } from 'vitest/config'
import { CountReporter } from './tools/lint/count-reporter.ts'

export default defineConfig({
  test: {
    include: ['{packages,plugins,apps,tools}/*/test/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 240_000,
    pool: 'forks',
    maxWorkers: 2,
    reporters: ['default', new CountReporter()],
  },
})
