import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testContext, testTransform } from '@ferrite-migrate/conformance'
import type { Transform } from '@ferrite-migrate/contracts'
import { createTransform as createPython } from '@ferrite-migrate/transform-python'
import { createTransform as createScript } from '@ferrite-migrate/transform-script'
import { describe, it } from 'vitest'

const SCRIPTS: Readonly<Record<string, string>> = {
  'rules.js': `
    function transformKey(key) { return 'new:' + key }
    function transformValue(key, value, type) {
      if (value === 'refused') throw new Error('it is refused')
      return value === '' ? null : value
    }
  `,
  'rules.py': `
def transform_key(key):
    return 'new:' + key

def transform_value(key, value, type):
    if value == 'refused':
        raise ValueError('it is refused')
    return None if value == '' else value
`,
}

for (const [name, script] of Object.entries(SCRIPTS)) {
  const file = join(mkdtempSync(join(tmpdir(), 'fm-kit-')), name)
  writeFileSync(file, script)
  const open = (): Promise<Transform> =>
    (name.endsWith('.py') ? createPython : createScript)(
      testContext(file, { memory: 512 << 20, timeout: 20_000, workers: 1 }),
    )
  testTransform({ describe, it }, name, async () => ({
    transform: await open(),
    refused: Buffer.from('refused'),
    again: open,
  }))
}
