import { describe, expect, it } from 'vitest'
import { FingerprintSet } from '../dist/index.js'

describe('fingerprint set', () => {
  it('has what was added and nothing else', () => {
    const set = new FingerprintSet()
    for (let i = 0; i < 100_000; i++) set.add(i % 3, Buffer.from(`key:${i}`))
    for (let i = 0; i < 100_000; i++) expect(set.has(i % 3, Buffer.from(`key:${i}`))).toBe(true)
    for (let i = 0; i < 10_000; i++) expect(set.has(0, Buffer.from(`other:${i}`))).toBe(false)
  })
})
