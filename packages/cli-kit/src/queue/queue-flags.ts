import { Flags } from '@oclif/core'

/** Of commands that look at migrations, ask them for something, or run them: by a queue they are the same on all machines. */
export const queueFlags = {
  queue: Flags.string({
    description: 'Queue whose workers run migrations on many machines, which share their state there',
    env: 'FERRITE_MIGRATE_QUEUE',
    helpValue: '<URL>',
    helpGroup: 'GLOBAL',
  }),
}
