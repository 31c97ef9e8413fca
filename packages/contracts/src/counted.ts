/**
 * A number with what it counts, as people write it: `1 key`, `5,005 keys`.
 * @param many the word for several; `one` with an s when left out
 */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`
}
