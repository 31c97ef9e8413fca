import { describe, expect, it } from 'vitest'
import { addressChecks, attempt, type Check, sourceChecks, targetChecks, transformChecks } from '../dist/index.js'
import { ADDRESS_MUTANTS } from './address-mutants.js'
import type { Mutant } from './mutant.js'
import { SOURCE_MUTANTS } from './source-mutants.js'
import { TARGET_MUTANTS } from './target-mutants.js'
import { TRANSFORM_MUTANTS } from './transform-mutants.js'

function finds<T>(title: string, checks: readonly Check<T>[], mutants: readonly Mutant<T>[]): void {
  describe(`adapters that are broken on purpose: ${title}`, () => {
    const broken = new Set(mutants.map(({ breaks }) => breaks))

    it.each(checks.map(({ rule, name }) => [rule, name]))('%s %s: there is one', (_, name) => {
      expect(broken).toContain(name)
    })

    it.each(mutants.map((mutant) => [mutant.breaks, mutant.by, mutant] as const))('%s: %s', async (name, _, mutant) => {
      const check = checks.find((one) => one.name === name)
      if (check === undefined) throw new Error(`no check is called ${name}`)
      await expect(attempt(check, mutant.make())).rejects.toThrow()
    })
  })
}

finds('sources', sourceChecks, SOURCE_MUTANTS)
finds('targets', targetChecks, TARGET_MUTANTS)
finds('transforms', transformChecks, TRANSFORM_MUTANTS)
finds('addresses', addressChecks, ADDRESS_MUTANTS)
