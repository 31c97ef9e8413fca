/** How much of the first copy is done; null = nobody knows. */
export function Progress({ percent }: { percent: number | null }) {
  return percent === null ? (
    <span class="none">not told</span>
  ) : (
    <span class="progress">
      <progress max={100} value={percent} aria-label="First copy" /> {percent.toFixed(percent < 100 ? 1 : 0)}%
    </span>
  )
}
