import { Flags } from '@ferrite-migrate/cli-kit'

/** What `serve` and `dashboard` share. */
export const serveFlags = {
  listen: Flags.string({
    description: 'Address to answer at: HOST:PORT, or PORT for this machine alone',
    default: '127.0.0.1:8970',
    helpValue: '<ADDRESS>',
  }),
  'token-file': Flags.string({
    description: 'File that holds the token clients have to know [default: one is made and shown]',
    helpValue: '<FILE>',
  }),
  'allow-host': Flags.string({
    description: 'Name that the service is called by, beside localhost and addresses (behind a proxy)',
    multiple: true,
    multipleNonGreedy: true,
    delimiter: ',',
    helpValue: '<NAME>',
  }),
  'allow-hooks': Flags.boolean({ description: 'Take shell commands from clients as hooks of a cutover' }),
}
