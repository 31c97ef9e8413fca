import checkbox from '@inquirer/checkbox'
import confirm from '@inquirer/confirm'
import input from '@inquirer/input'
import password from '@inquirer/password'
import select from '@inquirer/select'

/** Signs that every terminal has, and none that says by colour alone. */
const theme = {
  prefix: { idle: '?', done: '?' },
  icon: { cursor: '>', checked: '[x]', unchecked: '[ ]' },
  helpMode: 'never' as const,
}

interface Choice<T> {
  readonly name: string
  readonly value: T
}

/** The questions of the wizard, in one look. All of them throw ExitPromptError on Ctrl-C. */
export const ask = {
  choice: <T>(message: string, choices: readonly Choice<T>[]): Promise<T> =>
    select({ message, choices: [...choices], theme, pageSize: 12 }),

  text: (message: string, fallback: string | undefined, check?: (text: string) => string | true): Promise<string> =>
    input({
      message,
      ...(fallback === undefined ? {} : { default: fallback }),
      theme,
      validate: (text) => (text.trim() === '' ? 'Please type something.' : (check?.(text.trim()) ?? true)),
    }).then((text) => text.trim()),

  secret: (message: string): Promise<string> => password({ message, mask: '*', theme }),

  several: <T>(message: string, choices: readonly Choice<T>[]): Promise<T[]> =>
    checkbox({ message, choices: [...choices], theme, pageSize: 12 }),

  yes: (message: string, fallback: boolean): Promise<boolean> => confirm({ message, default: fallback, theme }),
}

/** True when somebody pressed Ctrl-C at a question. */
export function isExit(error: unknown): boolean {
  return error instanceof Error && error.name === 'ExitPromptError'
}
