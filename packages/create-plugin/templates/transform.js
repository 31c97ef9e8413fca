import { defineTransform } from '@ferrite-migrate/contracts'

/**
 * The rule `SCHEME`: puts `prefix` before each value. A rule works on single strings of bytes: the value of a string, the values of
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
