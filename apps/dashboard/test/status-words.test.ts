import { expect, it } from 'vitest'
import { hostOf } from '../src/parts/status-words.js'

it('names every target by something that can be typed', () => {
  expect(hostOf('redis://db1:6379')).toBe('db1:6379')
  expect(hostOf('ferrites://user:***@db1:6379/3')).toBe('db1:6379')
  expect(hostOf('redis-cluster://a:1,b:2?x=y')).toBe('a:1,b:2')
  expect(hostOf('redis://[::1]:6379')).toBe('[::1]:6379')
  expect(hostOf('unix:///run/redis.sock')).toBe('/run/redis.sock')
  expect(hostOf('redis+unix:///run/redis.sock?db=1')).toBe('/run/redis.sock?db=1')
})
