import { MigrateError } from '@ferrite-migrate/contracts'
import { type Row, RowError } from './row.js'

/** Text with fields of a row in it: `user:{id}`; `{{` is a brace. */
export class Template {
  private readonly parts: readonly { readonly text: string; readonly field: string | null }[]
  /** The fields that it names. */
  readonly fields: readonly string[]

  /**
   * @param bare a text without braces is the name of a field
   * @throws MigrateError FM_CONFIG_INVALID
   */
  constructor(text: string, option: string, bare: boolean) {
    const parts: { text: string; field: string | null }[] = []
    if (bare && !text.includes('{')) parts.push({ text: '', field: text })
    else {
      let rest = ''
      for (let at = 0; at < text.length; at++) {
        if (text[at] === '{' && text[at + 1] === '{') rest += text[at++]
        else if (text[at] === '}' && text[at + 1] === '}') rest += text[at++]
        else if (text[at] === '{') {
          const end = text.indexOf('}', at)
          if (end < 0 || end === at + 1)
            throw new MigrateError(
              'FM_CONFIG_INVALID',
              `--${option} "${text.slice(0, 60)}" has a brace without a field`,
              'Write for instance user:{id}; {{ is a brace.',
            )
          parts.push({ text: rest, field: text.slice(at + 1, end) })
          rest = ''
          at = end
        } else rest += text[at]
      }
      parts.push({ text: rest, field: null })
    }
    this.parts = parts
    this.fields = parts.flatMap(({ field }) => field ?? [])
  }

  /** @throws RowError when the row lacks a field, or has nothing in it */
  fill(row: Row): string {
    let out = ''
    for (const { text, field } of this.parts) {
      out += text
      if (field === null) continue
      const value = row.text(field)
      if (value === undefined || value === '') throw new RowError(row.line, `it has no ${field}`, row.json())
      out += value
    }
    return out
  }
}
