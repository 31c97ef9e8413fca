import { type Address, ENCODE_HINT, MigrateError, splitConnection } from '@ferrite-migrate/contracts'
import { decodePart } from '../address/decode-part.js'
import { printAddress, readAddress } from '../address/host-port.js'

const SCHEME = /^(redis|valkey|ferrite)(s?)[+-]sentinel$/
const PORT = 26_379
const FORM =
  'Write redis+sentinel://[user:password@]sentinel:26379,sentinel:26379/primary-name[/db], with rediss+sentinel:// for TLS; IPv6 in brackets.'

/** What a connection string says that names sentinels. */
export interface SentinelUrl {
  /** Safe to print. */
  readonly label: string
  readonly sentinels: readonly Address[]
  /** What the sentinels call the primary. */
  readonly primary: string
  readonly db: number
  readonly namesDb: boolean
  readonly secure: boolean
  /** Of the servers with data; percent-encoded, empty = none. */
  readonly username: string
  readonly password: string
}

/** True when connection strings of this scheme name sentinels. */
export function namesSentinels(scheme: string): boolean {
  return SCHEME.test(scheme)
}

/** @throws MigrateError FM_URL_INVALID */
export function readSentinelUrl(url: string): SentinelUrl {
  const parts = splitConnection(url)
  if (parts === null)
    throw new MigrateError('FM_URL_INVALID', 'the connection string cannot be taken apart', ENCODE_HINT)
  const scheme = parts.scheme.slice(0, -'://'.length).toLowerCase()
  const [hosts, name = '', db, ...more] = parts.place.split('/')
  const sentinels = hosts.split(',').map((text) => {
    const address = readAddress(text, PORT)
    if (address === null)
      throw invalid(text === '' ? 'the connection string names no sentinel' : `"${text.slice(0, 80)}" is no host:port`)
    return address
  })
  const primary = decodePart(name, 'name of the primary')
  if (primary === '') throw invalid('the connection string does not say what the sentinels call the primary')
  if (more.length > 0 || (db !== undefined && !/^\d{0,5}$/.test(db)))
    throw invalid('what stands behind the name of the primary is no database number')
  const named = db !== undefined && db !== ''
  return {
    label: `${scheme}://${sentinels.map(printAddress).join(',')}/${name}${named && Number(db) !== 0 ? `/${db}` : ''}`,
    sentinels,
    primary,
    db: named ? Number(db) : 0,
    namesDb: named,
    secure: SCHEME.exec(scheme)?.[2] === 's',
    username: parts.user,
    password: parts.password ?? '',
  }
}

function invalid(what: string): MigrateError {
  return new MigrateError('FM_URL_INVALID', what, FORM)
}
