import { describe, expect, it } from 'vitest'
import { KeyPatterns } from '../../dist/analysis/key-patterns.js'
import { bytes } from '../doubles.js'

function patterns(...names: string[]): KeyPatterns {
  const made = new KeyPatterns()
  for (const name of names) made.add(bytes(name), 0, name.length, 10, false)
  return made
}
const shapeOf = (name: string): string => patterns(name).top(1)[0].pattern

describe('the shape of a name', () => {
  it.each([
    ['config', 'config'],
    ['user:12', 'user:*'],
    ['user:12:mail', 'user:*'],
    ['f47ac10b-58cc-4372-a567-0e02b2c3d479', '*'],
    [`token:${'x'.repeat(20)}`, 'token:*'],
  ])('%s is %s', (name, shape) => {
    expect(shapeOf(name)).toBe(shape)
  })

  it('is one for all names that differ only in what varies', () => {
    const names = Array.from({ length: 100 }, (_, i) => `user:${i}:mail`)
    expect(patterns(...names, 'user:a1b2:mail', 'user12:x', 'user13:x').shapes).toBe(2)
  })
})

describe('the most frequent patterns', () => {
  it('come first, with an example and what they take', () => {
    const made = patterns('a:1', 'b:1', 'b:2', 'b:3', 'c')
    made.add(bytes('c'), 0, 1, 90, true, 2)
    expect(made.top(2)).toEqual([
      { pattern: 'b:*', keys: 3, bytes: 30, shortLived: 0, example: 'b:1' },
      { pattern: 'c', keys: 3, bytes: 190, shortLived: 2, example: 'c' },
    ])
  })

  it('are taken apart where one holds most keys', () => {
    const names = Array.from({ length: 30 }, (_, i) => [`app:user:${i}`, `app:cart:${i}`]).flat()
    expect(
      patterns(...names, 'other')
        .top(5)
        .map(({ pattern, keys }) => [pattern, keys]),
    ).toEqual([
      ['app:user:*', 30],
      ['app:cart:*', 30],
      ['other', 1],
    ])
  })

  it('are so many at most, and the others are counted together', () => {
    const made = new KeyPatterns()
    const word = (i: number): string =>
      [...i.toString(26)].map((digit) => String.fromCharCode(97 + Number.parseInt(digit, 26))).join('')
    for (let i = 0; i < 20_500; i++) {
      const name = bytes(`${word(i)}:x`)
      made.add(name, 0, name.length, 1, false)
    }
    expect(made.shapes).toBeLessThanOrEqual(20_000)
    expect(made.tree().keys).toBe(20_500)
  })
})

describe('the tree of names', () => {
  it('has each prefix with what is below it', () => {
    const tree = patterns('app:user:1', 'app:user:2', 'app:cart:1', 'log').tree()
    expect([tree.keys, tree.bytes]).toEqual([4, 40])
    const app = tree.children.find(({ prefix }) => prefix.startsWith('app'))
    expect([app?.keys, app?.children.map(({ prefix, keys }) => [prefix, keys]).sort()]).toEqual([
      3,
      [
        ['app:cart:', 1],
        ['app:user:', 2],
      ],
    ])
  })
})
