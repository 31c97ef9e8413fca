import { type Locate, MigrateError } from '@ferrite-migrate/contracts'
import type { AddressSubject } from '../dist/index.js'

/** `place://[user:password@]host[:port]`, the simplest address that there is. */
export function locatePlace(url: string): Locate {
  const match = /^place:\/\/(?:[^@/]*@)?([a-z][a-z0-9.-]*)(?::([1-9]\d{0,3}))?$/i.exec(url)
  if (match === null)
    throw new MigrateError('FM_URL_INVALID', 'this is no place', 'Write place://[user:password@]host[:port].')
  const [, host, port = '1000'] = match
  return async () => ({ host: host.toLowerCase(), port: Number(port) })
}

/** Addresses of places, or what something else makes of them. */
export function addressSubject(locate: (url: string) => Locate = locatePlace): AddressSubject {
  return {
    locate,
    places: [
      ['place://one', 'place://one:1000', 'place://ONE', 'place://user:s3cret@one'],
      ['place://one:2000', 'place://user:s3cret@one:2000'],
      ['place://two'],
    ],
    wrong: ['place://', 'place://one:port', 'one:1000', 'place://user:s3cret@', 'place://one:0'],
    password: 's3cret',
  }
}
