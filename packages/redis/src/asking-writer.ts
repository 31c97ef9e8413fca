import { RespWriter } from '@ferrite-migrate/protocol'

/** Puts ASKING before each command: the server then answers for keys of a slot that it is about to get. */
export class AskingWriter extends RespWriter {
  override call(...argv: readonly (Buffer | string | number)[]): void {
    super.call('ASKING')
    super.call(...argv)
  }
}
