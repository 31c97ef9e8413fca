import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DecodedRecord, DecodedValue, ItemsValue, Transform } from '@ferrite-migrate/contracts'
import { createTransform as createPython } from '@ferrite-migrate/transform-python'
import { createTransform as createScript } from '@ferrite-migrate/transform-script'

export interface Loaded {
  readonly transform: Transform
  readonly log: readonly string[]
  /** Answers for string values. */
  ask(...values: (string | Buffer)[]): Promise<(string | null | Error)[]>
  [Symbol.asyncDispose](): Promise<void>
}

/** A script in its sandbox. */
export async function loaded(
  name: string,
  source: string,
  options: { memory?: number; timeout?: number; signal?: AbortSignal; firstFaultEnds?: boolean } = {},
): Promise<Loaded> {
  const directory = mkdtempSync(join(tmpdir(), 'fm-script-'))
  const file = join(directory, name)
  writeFileSync(file, source)
  const log: string[] = []
  try {
    const createTransform = name.endsWith('.py') ? createPython : createScript
    const transform = await createTransform({
      url: file,
      options: { memory: options.memory ?? 256 << 20, timeout: options.timeout ?? 10_000, workers: 1 },
      logger: { log: (_, text) => void log.push(text), enabled: () => true },
      signal: options.signal ?? new AbortController().signal,
      firstFaultEnds: options.firstFaultEnds ?? false,
      tempDir: directory,
    })
    return {
      transform,
      log,
      ask: async (...values) =>
        (await transform.values!(values.map((value, i) => record(`k${i}`, items('string', value))))).map((answer) =>
          answer === null || answer instanceof Error ? answer : String((answer as ItemsValue).items[0]),
        ),
      [Symbol.asyncDispose]: async () => transform[Symbol.asyncDispose]?.(),
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

export function items(type: ItemsValue['type'], ...list: (string | Buffer)[]): ItemsValue {
  return { form: 'items', type, items: list.map((item) => Buffer.from(item as string)) }
}

export function record(key: string | Buffer, value: DecodedValue): DecodedRecord {
  return { db: 0, key: Buffer.from(key as string), value, expireAt: 0 }
}
