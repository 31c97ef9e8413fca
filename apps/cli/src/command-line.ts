const ROOT = ['-h', '--help', '--version']

/** What a command line means: `help x` is `x --help`, `-V` is `--version`, and flags alone are those of `migrate`. */
export function commandLine(argv: readonly string[]): string[] {
  const [first, ...rest] = argv
  if (first === 'help') return [...rest.filter((word) => !word.startsWith('-')), '--help']
  if (first === '-V') return ['--version']
  const bare = first?.startsWith('-') && !ROOT.includes(first)
  return bare ? ['migrate', ...argv] : [...argv]
}
