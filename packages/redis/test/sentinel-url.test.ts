import { redactUrl, splitConnection } from '@ferrite-migrate/contracts'
import { parseEndpoint } from '@ferrite-migrate/redis'
import { describe, expect, it } from 'vitest'

describe('a connection string that names sentinels', () => {
  it.each([
    ['redis+sentinel://s1:26380,s2/main', 'redis+sentinel://s1:26380,s2:26379/main', 's1', 26_380, 0, false],
    ['redis-sentinel://u:p%40w@s1,s2/main/0', 'redis-sentinel://s1:26379,s2:26379/main', 's1', 26_379, 0, true],
    [
      'valkeys+sentinel://[::1]:1,[fe80::2]/main/5',
      'valkeys+sentinel://[::1]:1,[fe80::2]:26379/main/5',
      '::1',
      1,
      5,
      true,
    ],
    ['FERRITE-sentinel://s1/a.b-c_1', 'ferrite-sentinel://s1:26379/a.b-c_1', 's1', 26_379, 0, false],
  ])('%s', (url, label, host, port, db, namesDb) => {
    expect(parseEndpoint(url)).toMatchObject({ label, host, port, db, namesDb })
  })

  it('has credentials for the servers, never in its label', () => {
    const url = 'redis+sentinel://user:s3cr%2Ft@s1:1,s2:2/main/3?sentinel-tls=true'
    const endpoint = parseEndpoint(url)
    expect(endpoint).toMatchObject({ username: 'user', password: 's3cr/t' })
    expect(endpoint.label).toBe('redis+sentinel://s1:1,s2:2/main/3')
    expect(redactUrl(url)).toBe(endpoint.label)
    expect(splitConnection(url)).toMatchObject({ user: 'user', password: 's3cr%2Ft', place: 's1:1,s2:2/main/3' })
  })

  it('speaks TLS where it says so', () => {
    expect(parseEndpoint('rediss+sentinel://s/main').tls).toBeDefined()
    expect(parseEndpoint('redis+sentinel://s/main', { tls: true }).tls).toBeDefined()
    expect(parseEndpoint('redis+sentinel://s/main', { 'sentinel-tls': true }).tls).toBeUndefined()
  })

  it.each([
    ['redis+sentinel://s1', /what the sentinels call the primary/],
    ['redis+sentinel://s1/', /what the sentinels call the primary/],
    ['redis+sentinel:///main', /names no sentinel/],
    ['redis+sentinel://s1,,s2/main', /names no sentinel/],
    ['redis+sentinel://s1:x/main', /"s1:x" is no host:port/],
    ['redis+sentinel://s1:65536/main', /"s1:65536" is no host:port/],
    ['redis+sentinel://::1/main', /"::1" is no host:port/],
    ['redis+sentinel://s1/main/x', /no database number/],
    ['redis+sentinel://s1/main/1/2', /no database number/],
    ['redis+sentinel://:a/b@s1/main', /cannot be taken apart/],
  ])('%s is refused', (url, message) => {
    expect(() => parseEndpoint(url)).toThrow(
      expect.objectContaining({ code: 'FM_URL_INVALID', message: expect.stringMatching(message) }),
    )
  })

  it.each(['a=b', '10.0.0.1:6379', '10.0.0.1:6379=', '1.1.1.1:1=2.2.2.2:2=3.3.3.3:3', '::1:6379=b:1'])(
    'node-map %s is refused',
    (map) => {
      expect(() => parseEndpoint('redis+sentinel://s/main', { 'node-map': map })).toThrow(
        expect.objectContaining({ code: 'FM_OPTION_VALUE' }),
      )
    },
  )
})
