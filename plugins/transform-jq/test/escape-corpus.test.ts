import { readFileSync } from 'node:fs'
import { createTransform } from '@ferrite-migrate/transform-jq'
import { describe, expect, it } from 'vitest'

interface Attempt {
  readonly name: string
  readonly proof: string
  readonly what: string
  readonly code: string
}

const CORPUS = JSON.parse(readFileSync(new URL('./escape-corpus.json', import.meta.url), 'utf8')) as Attempt[]
/** Attempts put it together themselves, so that no message that quotes their code holds it. */
const MARKER = 'ESCAPED'
const SECRET = 'only-in-the-environment'

describe('the escape corpus', () => {
  for (const { name, what, proof, code } of CORPUS)
    it(`of jq stays inside: ${what} (${name})`, async () => {
      process.env.FM_ESCAPE = SECRET
      const before = process.memoryUsage.rss()
      const log: string[] = []
      let text: string
      try {
        const transform = await createTransform({
          url: '',
          options: { filter: code.replaceAll('$SECRET', SECRET), memory: 64 << 20, timeout: 1500, workers: 1 },
          logger: { log: (_, line) => void log.push(line), enabled: () => true },
          signal: new AbortController().signal,
          tempDir: '',
        })
        try {
          const [answer] = await transform.items!([Buffer.from('{"a":1}')])
          text = answer instanceof Error ? answer.message : answer.toString('utf8')
        } finally {
          await transform[Symbol.asyncDispose]?.()
        }
      } catch (error) {
        text = (error as Error).message
      }
      expect(text + log.join('\n')).not.toContain(MARKER)
      if (proof === 'memory') expect(process.memoryUsage.rss() - before).toBeLessThan(900 << 20)
    })
})
