import { endsSchema } from '@ferrite-migrate/core'
import * as v from 'valibot'

const optional = v.optional
const id = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/, 'letters, digits, _ and - only'))
const ms = v.pipe(v.number(), v.minValue(0), v.maxValue(366 * 86_400_000))
const flag = v.boolean()
/** A NUL would end it within the system. */
const text = v.pipe(v.string(), v.regex(/^[^\0]*$/, 'text without NUL'))

/** The layout of migration.yaml as an object: the service checks it, so that all that is wrong is told by field. */
const whole = v.record(v.string(), v.unknown())

/** What each method takes. `config` has the layout of migration.yaml (migration.schema.json of @ferrite-migrate/core). */
export const PARAMS = {
  initialize: v.strictObject({
    /** Of the client; a newer one than the tool speaks is refused (FM_PROTOCOL_VERSION). */
    protocolVersion: v.pipe(v.number(), v.integer(), v.minValue(1)),
    client: optional(v.strictObject({ name: v.string(), version: optional(v.string()) })),
  }),
  'migration.plan': v.strictObject({ config: whole }),
  'migration.start': v.strictObject({
    /** With `resume`: source and target with their passwords, as far as they are not stored. */
    config: optional(whole),
    /** Go on with the interrupted migration of this id. */
    resume: optional(id),
    /** It goes on when the client is gone. */
    detach: optional(flag),
  }),
  'migration.status': v.strictObject({ id }),
  'migration.wait': v.strictObject({
    id,
    /** `end`: the run is over. `live`: changes are followed. `complete`: as in the status. Default `end`. */
    until: optional(v.picklist(['end', 'live', 'complete'])),
    /** ms; the status at that time is the answer. */
    timeoutMs: optional(ms),
  }),
  'migration.pause': v.strictObject({ id }),
  'migration.resume': v.strictObject({ id }),
  'migration.cutover': v.strictObject({
    id,
    maxLag: optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
    timeoutMs: optional(ms),
    verify: optional(flag),
    strict: optional(flag),
    fence: optional(v.picklist(['auto', 'pause', 'acl', 'none'])),
    holdMs: optional(ms),
    afterCutover: optional(v.picklist(['warn', 'keep-fence'])),
    /** Shell command that moves the traffic; over HTTP only where `serve --allow-hooks` was given. */
    hook: optional(text),
    hookTimeoutMs: optional(ms),
    webhook: optional(text),
    dryRun: optional(flag),
  }),
  'migration.cancel': v.strictObject({
    id,
    /** `run`: stops it, so that it can go on later. `cutover`: calls the cutover off, and the migration goes on. Default `run`. */
    what: optional(v.picklist(['run', 'cutover'])),
  }),
  'migration.verify': v.strictObject({
    id,
    /** Passwords that are not stored, once the run is over. */
    config: optional(endsSchema),
  }),
  'migration.rollback': v.strictObject({
    id,
    force: optional(flag),
    dryRun: optional(flag),
    config: optional(endsSchema),
  }),
  'migration.analyze': v.strictObject({
    id,
    /** Keys to look at, of each database in proportion. Default 20000. */
    sample: optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(10_000_000))),
    /** Passwords that are not stored. */
    config: optional(endsSchema),
  }),
  'migration.report': v.strictObject({ id }),
  'migration.list': v.strictObject({}),
  'migration.events': v.strictObject({
    id,
    /** Number of the last event that is known. */
    after: optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  }),
  'migration.samples': v.strictObject({
    id,
    /** ms; those taken later. */
    after: optional(v.pipe(v.number(), v.minValue(0))),
  }),
  'migration.metrics': v.strictObject({ id }),
  /** Notifications of this migration come from now on. */
  'migration.attach': v.strictObject({ id }),
  /** None come any more, and it no longer ends with this client. */
  'migration.detach': v.strictObject({ id }),
} as const

export type Method = keyof typeof PARAMS
export type Params<M extends Method> = v.InferOutput<(typeof PARAMS)[M]>

export const METHODS = Object.keys(PARAMS) as Method[]
