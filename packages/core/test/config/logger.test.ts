import { describe, expect, it } from 'vitest'
import { createLogger, createReadableLogger, silentLogger } from '../../dist/index.js'

describe('a log', () => {
  it('that people read has time, level, text and fields, cut', () => {
    const lines: string[] = []
    const logger = createReadableLogger('info', (line) => lines.push(line))
    logger.log('debug', 'not told')
    logger.log('warn', 'look', { name: 'value', count: 3, long: 'x'.repeat(100) })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} warn {3}look {2}name=value count=3 long=x{80}…$/)
    expect((['debug', 'info', 'error'] as const).map((level) => logger.enabled(level))).toEqual([false, true, true])
  })

  it('that programs read is JSON, a line each', async () => {
    const lines: string[] = []
    const logger = await createLogger('debug', { write: (line) => lines.push(line) })
    logger.log('trace', 'not told')
    logger.log('debug', 'look', { count: 3 })
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ msg: 'look', count: 3 }])
    expect([logger.enabled('trace'), logger.enabled('error')]).toEqual([false, true])
  })

  it('may be none', () => {
    expect([silentLogger.enabled('error'), silentLogger.log('error', 'x')]).toEqual([false, undefined])
  })
})
