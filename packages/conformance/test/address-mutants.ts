import { type Address, type Locate, MigrateError } from '@ferrite-migrate/contracts'
import type { AddressSubject } from '../dist/index.js'
import type { Mutant } from './mutant.js'
import { addressSubject, locatePlace } from './place-address.js'

/** Addresses that are changed on the way. */
const answers = (change: (address: Address, url: string) => Address): AddressSubject =>
  addressSubject((url) => {
    const locate = locatePlace(url)
    return async () => change(await locate(), url)
  })

/** What is done about a wrong address instead. */
const refuses = (instead: (url: string, error: MigrateError) => Locate): AddressSubject =>
  addressSubject((url) => {
    try {
      return locatePlace(url)
    } catch (error) {
      if (error instanceof MigrateError) return instead(url, error)
      throw error
    }
  })

/** Addresses that are broken on purpose. */
export const ADDRESS_MUTANTS: readonly Mutant<AddressSubject>[] = [
  {
    breaks: 'finds one place, however it is written',
    by: 'upper case is another host',
    make: () => answers((address, url) => (url.includes('ONE') ? { ...address, host: 'ONE' } : address)),
  },
  {
    breaks: 'finds one place, however it is written',
    by: 'a port that is not written is another one',
    make: () => answers((address, url) => (/\d$/.test(url) ? address : { ...address, port: 1 })),
  },
  {
    breaks: 'finds different places apart',
    by: 'the port does not count',
    make: () => answers((address) => ({ ...address, port: 1000 })),
  },
  {
    breaks: 'gives a host and a port, each time it is asked',
    by: 'once only',
    make: () =>
      addressSubject((url) => {
        const locate = locatePlace(url)
        let asked = 0
        return async () => (asked++ === 0 ? locate() : { host: '', port: 0 })
      }),
  },
  {
    breaks: 'gives a host and a port, each time it is asked',
    by: 'brackets around the host',
    make: () => answers((address) => ({ ...address, host: `[${address.host}]` })),
  },
  {
    breaks: 'gives a host and a port, each time it is asked',
    by: 'no port where none is written',
    make: () => answers((address, url) => (/\d$/.test(url) ? address : { ...address, port: Number.NaN })),
  },
  {
    breaks: 'gives no password away',
    by: 'it is a part of the host',
    make: () => answers((address, url) => (url.includes('@') ? { ...address, host: url.slice(8) } : address)),
  },
  {
    breaks: 'gives no password away',
    by: 'the error shows what was written',
    make: () =>
      refuses((url) => {
        throw new MigrateError('FM_URL_INVALID', `"${url.slice(8)}" is no place`, 'Write another one.')
      }),
  },
  {
    breaks: 'refuses a wrong address by a MigrateError that says how to write one',
    by: 'it takes it for another one',
    make: () => refuses(() => locatePlace('place://one')),
  },
  {
    breaks: 'refuses a wrong address by a MigrateError that says how to write one',
    by: 'an error of its own',
    make: () =>
      refuses((url) => {
        throw new TypeError(`Invalid URL: ${url}`)
      }),
  },
  {
    breaks: 'refuses a wrong address by a MigrateError that says how to write one',
    by: 'it says nothing of how',
    make: () =>
      refuses((_, { code, message }) => {
        throw new MigrateError(code, message, '')
      }),
  },
  {
    breaks: 'refuses a wrong address by a MigrateError that says how to write one',
    by: 'it is to be tried again',
    make: () =>
      refuses((_, { code, message, hint }) => async () => {
        throw new MigrateError(code, message, hint, { retryable: true })
      }),
  },
]
