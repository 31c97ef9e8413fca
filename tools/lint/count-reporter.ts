import type { Reporter, TestModule, Vitest } from 'vitest/node'
import { type Skip, skipSummary } from './skip-summary.ts'

/** Ends the run with plain lines: what was counted, and why tests were skipped. */
export class CountReporter implements Reporter {
  /** Only tests of some names are asked for. */
  private chosen = false

  onInit({ config }: Vitest): void {
    this.chosen = config.testNamePattern !== undefined
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    let passed = 0
    let failed = 0
    const skips: Skip[] = []
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const result = test.result()
        if (result.state === 'passed') passed++
        else if (result.state === 'failed') failed++
        else if (result.state === 'skipped') skips.push({ name: test.name, fullName: test.fullName, note: result.note })
      }
      if (module.state() === 'failed' && [...module.children.allTests('failed')].length === 0) failed++
    }
    const lines = skipSummary(skips, this.chosen)
    for (const line of lines.slice(0, -1)) console.log(line)
    console.log(`Tests: ${passed} passed, ${failed} failed, ${lines.at(-1)}`)
  }
}
