import { median } from '../measure.js'

/** What one round of a case measured: figures by name, of which less is better. */
export type Figures = Readonly<Record<string, number>>

/** One figure of a case, of both sides. */
export interface Compared {
  readonly figure: string
  readonly before: number
  readonly now: number
  /** Of rounds that followed each other: now to before. */
  readonly ratio: number
  readonly least: number
  readonly most: number
}

/**
 * Medians of both sides and of their ratios, with the least and the greatest.
 * @param rounds what each side measured, round by round
 */
export function compared(rounds: readonly { readonly before: Figures; readonly now: Figures }[]): Compared[] {
  const names = Object.keys(rounds[0]?.now ?? {})
  return names.map((figure) => {
    const ratios = rounds.map(({ before, now }) => now[figure] / before[figure])
    return {
      figure,
      before: median(rounds.map(({ before }) => before[figure])),
      now: median(rounds.map(({ now }) => now[figure])),
      ratio: median(ratios),
      least: Math.min(...ratios),
      most: Math.max(...ratios),
    }
  })
}

/** What the spread allows to say: a difference smaller than what rounds differ by among themselves is none. */
export function verdict({ ratio, least, most }: Compared): string {
  if (least > 1.02) return 'slower'
  if (most < 0.98) return 'faster'
  return Math.abs(ratio - 1) < 0.02 ? 'the same' : 'within the spread'
}
