import type { OptionSpec } from '@ferrite-migrate/contracts'
import type { Registry } from '@ferrite-migrate/core'
import { Flags, type Interfaces } from '@oclif/core'

/** An option of a source that has a flag of its own, as the manifest of an installed plugin says. */
type FlaggedOption = OptionSpec & { readonly flag: string }

function flaggedOptions(registry: Pick<Registry, 'adapters'>): readonly FlaggedOption[] {
  return registry
    .adapters('source')
    .flatMap(({ options }) =>
      options.flatMap((option) => (option.flag === undefined ? [] : [{ ...option, flag: option.flag }])),
    )
}

/** True for a command that opens a source, and so takes the flags of sources. */
export function opensSource(flags: object | undefined): boolean {
  return flags !== undefined && 'source-option' in flags
}

/** The flags of the sources that are installed. */
export function adapterFlags(
  registry: Pick<Registry, 'adapters'>,
): Record<string, Interfaces.OptionFlag<string | undefined>> {
  return Object.fromEntries(
    flaggedOptions(registry).map(({ flag, description, choices, default: fallback }) => [
      flag,
      Flags.string({
        description: fallback === undefined ? description : `${description} [default: ${fallback}]`,
        helpGroup: 'SOURCE AND TARGET',
        ...(choices === undefined ? {} : { options: choices }),
      }),
    ]),
  )
}

/** Takes what was given by such flags out of the parsed ones; gives it as `name=value`, for --source-option. */
export function takeAdapterFlags(registry: Pick<Registry, 'adapters'>, flags: Record<string, unknown>): string[] {
  const options: string[] = []
  for (const { flag, name } of flaggedOptions(registry)) {
    const value = flags[flag]
    if (typeof value === 'string') options.push(`${name}=${value}`)
    delete flags[flag]
  }
  return options
}
