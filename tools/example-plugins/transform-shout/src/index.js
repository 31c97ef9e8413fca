import { isUtf8 } from 'node:buffer'
import { defineTransform } from '@ferrite-migrate/contracts'

/** The rule `shout`: text in capitals, with a mark behind it. What is no text cannot be shouted. */
export const createTransform = defineTransform(async ({ options }) => ({
  items: async (items) =>
    items.map((item) =>
      isUtf8(item) ? Buffer.from(`${item.toString('utf8').toUpperCase()}${options.mark}`) : new Error('it is no text'),
    ),
}))
