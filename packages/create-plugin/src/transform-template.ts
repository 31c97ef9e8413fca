import type { Answers } from './answers.js'

/** A rule for values, to be changed into one's own. */
export function transformCode({ scheme }: Answers): string {
  return `import { defineTransform } from '@ferrite-migrate/contracts'

/**
 * The rule \`${scheme}\`: puts \`prefix\` before each value. A rule works on single strings of bytes: the value of a string, the values of
 * a hash, the elements of a list. The same question must always get the same answer, since a verification asks again.
 */
export const createTransform = defineTransform(async ({ options }) => {
  const prefix = Buffer.from(String(options.prefix))
  return {
    items: async (items) =>
      items.map((item) => {
        // An Error stands for one value that cannot be changed: what becomes of it the user decides.
        if (item.includes(0)) return new Error('it has a byte 0')
        return Buffer.concat([prefix, item])
      }),
  }
})
`
}

/** The kit over it. */
export function transformTest({ scheme }: Answers, module: string): string {
  return `import { describe, it } from 'node:test'
import { testContext, testTransform } from '@ferrite-migrate/conformance'
import { createTransform } from '${module}'

const open = () => createTransform(testContext('', { prefix: 'new ' }))

testTransform({ describe, it }, '${scheme}', async () => ({
  transform: await open(),
  refused: Buffer.from([65, 0, 66]),
  again: open,
}))
`
}
