import { Flags } from '@oclif/core'
import { defaultRegistry } from './default-registry.js'

/** Options of sources that have a flag, as the manifests of the plugins that come with this package say. */
const OPTIONS = defaultRegistry()
  .adapters('source')
  .flatMap(({ options }) =>
    options.flatMap((option) => (option.flag === undefined ? [] : [{ ...option, flag: option.flag }])),
  )

/** The flags of sources, for commands that open one. */
export const adapterFlags = Object.fromEntries(
  OPTIONS.map(({ flag, description, choices, default: fallback }) => [
    flag,
    Flags.string({
      description: fallback === undefined ? description : `${description} [default: ${fallback}]`,
      helpGroup: 'SOURCE AND TARGET',
      ...(choices === undefined ? {} : { options: choices }),
    }),
  ]),
)

/** What was given by such flags, as options of the source. */
export function adapterFlagOptions(flags: object): Record<string, string> {
  const given = new Map<string, unknown>(Object.entries(flags))
  const options: Record<string, string> = {}
  for (const { flag, name } of OPTIONS) {
    const value = given.get(flag)
    if (typeof value === 'string') options[name] = value
  }
  return options
}
