import {
  type ChangeRecord,
  changeOf,
  type DirtyKey,
  MigrateError,
  PackedChange,
  printable,
  type SnapshotRecord,
  type SourceEvent,
} from '@ferrite-migrate/contracts'

/** Events that are looked at down to the bytes of their records; of later ones only what costs nothing is. */
const LOOKED_AT = 64
/** Records of such an event that are looked at. */
const RECORDS = 32
const SYNC_MODES: readonly unknown[] = ['full', 'partial', 'sweep']
const ASIDES: readonly unknown[] = ['function', 'module-aux', 'script']
const FORMS: readonly unknown[] = ['rdb', 'items', 'stream', 'sliced']

/**
 * Looks at what a source gives: its types are those of another package, perhaps of plain JavaScript, and what is wrong in an
 * event would be blamed on the target, or be lost without a word.
 */
export class EventCheck {
  private readonly plugin: string
  private looked = 0
  private synced = false

  /** @param plugin the package that the source is from */
  constructor(plugin: string) {
    this.plugin = plugin
  }

  /** The source is read once more. */
  begin(): void {
    this.synced = false
  }

  /** @throws MigrateError FM_PLUGIN_EVENT */
  look(event: SourceEvent): void {
    if (typeof event !== 'object' || event === null) this.unknown(event)
    const whole = this.looked < LOOKED_AT
    if (whole) this.looked++
    if (!this.synced) this.first(event)
    switch (event.kind) {
      case 'changes':
        this.position(event.position, 'a changes event', true)
        if (whole) this.changes(event.records)
        if (event.transactions !== undefined) this.transactions(event.transactions, event.records.length)
        return
      case 'snapshot':
        if (whole) this.snapshot(event.records, event.byteLength, event.position)
        return
      case 'snapshot-end':
        this.position(event.position, 'snapshot-end', false)
        return
      case 'dirty':
        if (whole) this.dirty(event.keys, event.position)
        return
      case 'sync':
        if (!SYNC_MODES.includes(event.mode))
          this.refuse(`a sync event of mode ${shown(event.mode)}`, 'full, partial or sweep')
        return
      case 'left-out':
        if (typeof event.what !== 'string' || !isCount(event.count) || !Array.isArray(event.examples))
          this.refuse('a left-out event without what, count or examples', 'a text, a number and a list of keys')
        return
      case 'aside':
        if (!ASIDES.includes(event.what) || !Buffer.isBuffer(event.payload))
          this.refuse(`an aside event of ${shown(event.what)}`, 'function, module-aux or script, and a Buffer')
        return
      default:
        this.unknown(event)
    }
  }

  private first(event: SourceEvent): void {
    if (event.kind !== 'sync') this.refuse(`${shown(event.kind)} as its first event`, 'sync, whenever it is read')
    this.synced = true
  }

  private unknown(event: unknown): never {
    const kind = typeof event === 'object' && event !== null && 'kind' in event ? event.kind : event
    return this.refuse(
      `an event of kind ${shown(kind)}`,
      'sync, snapshot, snapshot-end, changes, dirty, left-out or aside',
    )
  }

  private snapshot(records: readonly SnapshotRecord[], byteLength: number, position: unknown): void {
    if (!Array.isArray(records)) this.refuse('a snapshot event without records', 'a list of records')
    if (!isCount(byteLength)) this.refuse(`a snapshot event with byteLength ${shown(byteLength)}`, 'a number of bytes')
    this.position(position, 'a snapshot event', false)
    for (const record of records.slice(0, RECORDS)) {
      this.key(record, 'a snapshot record')
      const { value, expireAt } = record
      if (typeof value !== 'object' || value === null || !FORMS.includes(value.form))
        this.refuse('a snapshot record whose value has no known form', FORMS.join(', '))
      if (typeof expireAt !== 'number' || !(expireAt >= 0))
        this.refuse(`a snapshot record with expireAt ${shown(expireAt)}`, 'ms since 1970, or 0 for none')
    }
  }

  private changes(records: readonly ChangeRecord[]): void {
    if (!Array.isArray(records)) this.refuse('a changes event without records', 'a list of commands')
    for (const record of records.slice(0, RECORDS)) {
      if (typeof record !== 'object' || record === null)
        this.refuse(`${shown(record)} in place of a change`, 'a record')
      const { db, argv, name, resp, receivedAt } = record
      if (!isCount(db)) this.refuse(`a change of database ${shown(db)}`, 'a number from 0')
      if (!Array.isArray(argv) || argv.length === 0 || !argv.every((each) => Buffer.isBuffer(each)))
        this.refuse('a change without argv', 'the command and its arguments, each a Buffer')
      if (name !== argv[0].toString('latin1').toUpperCase())
        this.refuse(
          `a change named ${shown(name)} whose argv begins with ${shown(argv[0].toString('latin1'))}`,
          'argv[0] in upper case',
        )
      // The arguments of a packed change are read from its bytes.
      if (record instanceof PackedChange) continue
      if (!Buffer.isBuffer(resp) || !resp.equals(changeOf(0, argv).resp))
        this.refuse(
          `a change ${name} whose resp are not the bytes of its argv`,
          'the command in RESP (changeOf makes it)',
        )
      if (!Number.isFinite(receivedAt)) this.refuse(`a change with receivedAt ${shown(receivedAt)}`, 'ms since 1970')
    }
  }

  private transactions(ranges: readonly (readonly [number, number])[], records: number): void {
    let end = 0
    for (const [first, count] of ranges) {
      if (!isCount(first) || !isCount(count) || first < end || first + count > records)
        this.refuse(
          `a transaction of ${shown(count)} records from ${shown(first)} on, of ${records}`,
          'ranges of its records, in order',
        )
      end = first + count
    }
  }

  private dirty(keys: readonly DirtyKey[], position: unknown): void {
    if (!Array.isArray(keys)) this.refuse('a dirty event without keys', 'a list of db and key')
    this.position(position, 'a dirty event', false)
    for (const key of keys.slice(0, RECORDS)) this.key(key, 'a dirty key')
  }

  private key(of: DirtyKey | undefined, what: string): void {
    if (typeof of !== 'object' || of === null)
      this.refuse(`${shown(of)} in place of ${what}`, 'an object with db and key')
    if (!isCount(of.db)) this.refuse(`${what} of database ${shown(of.db)}`, 'a number from 0')
    if (!Buffer.isBuffer(of.key))
      this.refuse(`${what} whose key is no Buffer (${shown(of.key)})`, 'the bytes of the name')
  }

  private position(position: unknown, of: string, needed: boolean): void {
    if (position === undefined && !needed) return
    if (typeof position !== 'string' || position === '')
      this.refuse(`${of} with the position ${shown(position)}`, 'a text that is not empty')
  }

  private refuse(what: string, expected: string): never {
    throw new MigrateError(
      'FM_PLUGIN_EVENT',
      `the source plugin ${this.plugin} gave ${what}; expected: ${expected}`,
      'This is a fault of the plugin: tell its author. Its conformance test would show it (docs/writing-a-plugin.md).',
    )
  }
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0
}

/** What was given, short enough for a message. */
function shown(value: unknown): string {
  if (typeof value === 'string') return `"${printable(value.slice(0, 40))}"`
  if (typeof value === 'number' || typeof value === 'boolean' || value == null) return String(value)
  return Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
