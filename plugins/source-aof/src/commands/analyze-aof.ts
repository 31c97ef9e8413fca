import { Args, BaseCommand, Flags } from '@ferrite-migrate/cli-kit'
import { type AofInspection, findAofFiles, inspectAof } from '../index.js'
import { aofLines } from '../render/aof-view.js'

export default class AnalyzeAof extends BaseCommand {
  static override description = 'Look into an append-only file, an appendonlydir, or its manifest without importing it'
  static override examples = ['<%= config.bin %> <%= command.id %> appendonlydir']
  static override args = { file: Args.string({ description: 'The file or directory', required: true }) }
  static override flags = {
    checksum: Flags.boolean({ description: 'Check the checksum of an RDB in it', default: true, allowNo: true }),
  }

  async run(): Promise<AofInspection> {
    const { args, flags } = await this.parse(AnalyzeAof)
    const inspection = await inspectAof(await findAofFiles(args.file), flags.checksum, new AbortController().signal)
    this.log(aofLines(inspection).join('\n'))
    return inspection
  }
}
