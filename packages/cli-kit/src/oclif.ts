// What the program and its commands use of oclif, by one name: in the bundle it is taken in, a file instead of a hundred.
export {
  Args,
  Command,
  CommandHelp,
  Config,
  Flags,
  flush,
  Help,
  type Hook,
  handle,
  type Interfaces,
  Plugin,
  run,
  settings,
} from '@oclif/core'
