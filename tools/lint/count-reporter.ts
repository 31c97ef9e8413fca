import type { Reporter, TestModule } from 'vitest/node'

/** Ends the run with one plain line, and with the reason of everything that was skipped. */
export class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    let passed = 0
    let failed = 0
    const skipped: string[] = []
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const result = test.result()
        if (result.state === 'passed') passed++
        else if (result.state === 'failed') failed++
        else if (result.state === 'skipped') skipped.push(`${test.fullName}${result.note ? `: ${result.note}` : ''}`)
      }
      if (module.state() === 'failed' && [...module.children.allTests('failed')].length === 0) failed++
    }
    for (const name of skipped) console.log(`skipped: ${name}`)
    console.log(`Tests: ${passed} passed, ${failed} failed, ${skipped.length} skipped`)
  }
}
