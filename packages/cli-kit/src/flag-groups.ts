/** Which group of the help a flag stands in; the help gives their order. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  'SOURCE AND TARGET': [
    'config',
    'source',
    'target',
    'mode',
    'id',
    'resume',
    'dry-run',
    'source-option',
    'target-option',
  ],
  'WHICH KEYS': [
    'filter',
    'exclude',
    'type',
    'db',
    'expiry',
    'filter-regex',
    'exclude-regex',
    'min-size',
    'max-size',
    'min-ttl',
    'max-ttl',
    'slots',
  ],
  'LIVE AND INCREMENTAL': [
    'verify',
    'strict',
    'exit',
    'until-lag',
    'cutover-max-lag',
    'capture',
    'apply',
    'spool-limit',
    'sync-timeout',
    'interval',
    'schedule',
    'once',
  ],
  'NAMES AND VALUES': [
    'transform',
    'transform-script',
    'script-memory',
    'script-timeout',
    'script-workers',
    'on-transform-error',
    'errors-file',
    'on-collision',
    'transform-keys',
    'db-map',
    'unsupported',
    'ttl',
    'ttl-factor',
  ],
  SAFETY: [
    'on-conflict',
    'delete-extra',
    'allow-eviction',
    'undo',
    'journal',
    'undo-limit',
    'auto-rollback',
    'rollback-on-error-rate',
  ],
  SPEED: ['parallel', 'workers', 'batch-size', 'max-rate', 'max-source-cpu', 'max-source-latency'],
}

/** Puts flags into their groups, which is set on the flags themselves. */
export function grouped<T extends Record<string, { helpGroup?: string | undefined }>>(flags: T): T {
  for (const [group, names] of Object.entries(GROUPS))
    for (const name of names) if (flags[name] !== undefined) flags[name].helpGroup = group
  return flags
}
