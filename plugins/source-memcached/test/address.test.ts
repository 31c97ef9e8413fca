import { testAddress, testContext } from '@ferrite-migrate/conformance'
import { describe, it } from 'vitest'
import { parseEndpoints } from '../dist/memcached-endpoint.js'

testAddress({ describe, it }, 'of a Memcached', async () => ({
  locate: (url) => parseEndpoints(testContext(url)).at(-1)!.locate,
  places: [
    [
      'memcached://host',
      'memcached://host:11211/',
      'memcached://HOST',
      'memcached://user:s3cret@host',
      'memcached://a,host',
    ],
    ['memcached://host:11212', 'memcached://host:11211,host:11212'],
    ['memcached://[::1]', 'memcached://[::1]:11211'],
  ],
  wrong: [
    ...['memcached://', 'memcached:///', 'memcached://host:port', 'memcached://host:70000', 'memcached://host:0'],
    ...['host:11211', 'memcached://a,,b', 'memcached://user:s3cret@', 'memcached://:s3cret%zz@host', 'memcached://::1'],
    'memcached://user:s3cret@/x@host',
  ],
  password: 's3cret',
}))
