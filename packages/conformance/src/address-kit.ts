import { type Address, type Locate, MigrateError } from '@ferrite-migrate/contracts'
import { type Check, ensure } from './harness.js'

/** What the kit needs to try how an adapter finds its servers. */
export interface AddressSubject {
  /**
   * What the adapter makes of a connection string; no server need be there.
   * @throws MigrateError for what is no address of the adapter, unless asking throws it
   */
  locate(url: string): Locate
  /** Connection strings of several places: those of one place are written in different ways. */
  readonly places: readonly (readonly string[])[]
  /** What is no address of the adapter. */
  readonly wrong: readonly string[]
  /** A password that stands in some of them as it is; absent = the adapter knows none. */
  readonly password?: string
}

/** Where it is said to be, or what was thrown. */
async function outcome({ locate }: AddressSubject, url: string): Promise<Address | { readonly error: unknown }> {
  try {
    return await locate(url)()
  } catch (error) {
    return { error }
  }
}

async function addressOf(subject: AddressSubject, url: string): Promise<Address> {
  const found = await outcome(subject, url)
  // The connection string itself may hold a password.
  ensure(!('error' in found), `an address that is right is refused: ${'error' in found ? String(found.error) : ''}`)
  return found
}

const told = ({ host, port }: Address): string => `${host} port ${port}`

/** How every adapter finds its servers. */
export const addressChecks: readonly Check<AddressSubject>[] = [
  {
    rule: 'A1',
    name: 'finds one place, however it is written',
    run: async (subject) => {
      for (const spellings of subject.places) {
        const found = await Promise.all(spellings.map((url) => addressOf(subject, url)))
        for (const one of found)
          ensure(told(one) === told(found[0]), `one place is ${told(found[0])}, and ${told(one)} written otherwise`)
      }
    },
  },
  {
    rule: 'A1',
    name: 'finds different places apart',
    skips: ({ places }) => (places.length > 1 ? null : 'the subject gives one place'),
    run: async (subject) => {
      const found = await Promise.all(subject.places.map(([url]) => addressOf(subject, url)))
      ensure(new Set(found.map(told)).size === found.length, `two places are both ${told(found[0])}`)
    },
  },
  {
    rule: 'A2',
    name: 'gives a host and a port, each time it is asked',
    run: async (subject) => {
      for (const url of subject.places.flat()) {
        const locate = subject.locate(url)
        const [first, second] = [await locate(), await locate()]
        ensure(told(first) === told(second), `asked again, ${told(first)} is ${told(second)}`)
        const { host, port } = first
        ensure(/^[^\s/@[\]]+$/.test(host), `"${host}" is no host that can be connected to`)
        ensure(Number.isInteger(port) && port > 0 && port < 65_536, `${port} is no port`)
      }
    },
  },
  {
    rule: 'A3',
    name: 'gives no password away',
    skips: ({ password }) => (password === undefined ? 'the subject has no `password`' : null),
    run: async (subject) => {
      const { places, wrong, password = '' } = subject
      const urls = [...places.flat(), ...wrong].filter((url) => url.includes(password))
      ensure(urls.length > 0, 'the password stands in none of the connection strings')
      for (const url of urls) {
        const found = await outcome(subject, url)
        const text =
          'error' in found
            ? found.error instanceof MigrateError
              ? `${found.error.message} ${found.error.hint}`
              : String(found.error)
            : JSON.stringify(found)
        ensure(!text.includes(password), `the password stands in ${'error' in found ? 'an error' : 'an address'}`)
      }
    },
  },
  {
    rule: 'A4',
    name: 'refuses a wrong address by a MigrateError that says how to write one',
    skips: ({ wrong }) => (wrong.length === 0 ? 'the subject names no wrong address' : null),
    run: async (subject) => {
      for (const [i, url] of subject.wrong.entries()) {
        const found = await outcome(subject, url)
        const which = `the ${i + 1}. wrong address`
        if (!('error' in found)) throw new Error(`${which} is taken for ${told(found)}`)
        const { error } = found
        ensure(error instanceof MigrateError, `${which} ends with ${error}, which is no MigrateError`)
        ensure(error.hint !== '', `${error.code} does not say how to write an address`)
        ensure(!error.retryable, `${error.code} of ${which} says that trying again may help`)
      }
    },
  },
]
