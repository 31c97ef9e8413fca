import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { MigrateError } from '@ferrite-migrate/contracts'

/**
 * Where the program is: what `FERRITE_MIGRATE_BIN` names, else `ferrite-migrate` on PATH.
 * @throws MigrateError FM_TOOL_MISSING
 */
export function findTool(environment: NodeJS.ProcessEnv = process.env): string {
  const named = environment.FERRITE_MIGRATE_BIN
  if (named !== undefined && named !== '') {
    if (isProgram(named)) return named
    throw missing(`FERRITE_MIGRATE_BIN names ${named}, which is no program`)
  }
  for (const folder of (environment.PATH ?? '').split(delimiter)) {
    const file = join(folder, 'ferrite-migrate')
    if (folder !== '' && isProgram(file)) return file
  }
  throw missing('ferrite-migrate is not on PATH')
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}

function missing(what: string): MigrateError {
  return new MigrateError(
    'FM_TOOL_MISSING',
    what,
    'Install it (npm install -g ferrite-migrate), or say where it is with FERRITE_MIGRATE_BIN.',
  )
}
