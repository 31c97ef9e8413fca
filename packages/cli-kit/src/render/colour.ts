import { styleText } from 'node:util'
import type { Screen } from './layout.js'

type Format = Parameters<typeof styleText>[0]

const STYLES: readonly (readonly [RegExp, Format])[] = [
  [/^(?:═|─)+$/, 'dim'],
  [/✅/u, 'green'],
  [/❌|^Error FM_/u, 'red'],
  [/⚠/u, 'yellow'],
  [/^[A-Z][A-Z ]+$/, 'bold'],
  [/^█*░*(?= )/u, 'cyan'],
]

/**
 * Colours lines where the stream is a terminal that has them; NO_COLOR, FORCE_COLOR and TERM=dumb are honoured. The words
 * say everything: colour only helps to find it.
 */
export function coloured(lines: readonly string[], stream: Screen): string[] {
  if (stream.isTTY !== true && process.env.FORCE_COLOR === undefined) return [...lines]
  return lines.map((line) => {
    const style = line === '' ? undefined : STYLES.find(([pattern]) => pattern.test(line))
    return style === undefined ? line : styleText(style[1], line, { stream })
  })
}
