import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AdapterContext } from '@ferrite-migrate/contracts'

/**
 * What an adapter gets to start with, for its tests: a silent log and a directory of its own.
 * @param options by manifest name as the core would give them: converted, with the defaults that the test needs
 * @param more whatever else is to be different
 */
export function testContext(
  url: string,
  options: AdapterContext['options'] = {},
  more: Partial<AdapterContext> = {},
): AdapterContext {
  return {
    url,
    options,
    logger: { log: () => undefined, enabled: () => false },
    signal: new AbortController().signal,
    tempDir: more.tempDir ?? mkdtempSync(join(tmpdir(), 'fm-kit-')),
    ...more,
  }
}
