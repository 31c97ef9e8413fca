import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Answers } from './answers.js'

const TEMPLATES = join(import.meta.dirname, '..', 'templates')

/** Releases that a plugin is made for. */
const CONTRACTS = '^0.1.0'
const CONTRACT = 2

/** A template with the scheme in its place. What is JavaScript there is TypeScript as well. */
function template(file: string, scheme: string): string {
  return readFileSync(join(TEMPLATES, file), 'utf8').replaceAll('SCHEME', scheme)
}

/** The files of a plugin: path and text. It builds, passes the kit, and runs with `--plugin .`. */
export function filesOf(answers: Answers): ReadonlyMap<string, string> {
  const { kind, language, scheme } = answers
  const typescript = language === 'typescript'
  const files = new Map([
    ['package.json', `${JSON.stringify(packageJson(answers), null, 2)}\n`],
    [typescript ? 'src/index.ts' : 'src/index.js', template(`${kind}.js`, scheme)],
    [
      'test/conformance.test.js',
      template(`${kind}.test.js`, scheme).replace(
        '../src/index.js',
        typescript ? '../dist/index.js' : '../src/index.js',
      ),
    ],
    ['README.md', readme(answers)],
    ['.gitignore', 'node_modules\ndist\n'],
  ])
  if (typescript) files.set('tsconfig.json', `${JSON.stringify(TSCONFIG, null, 2)}\n`)
  return files
}

const TSCONFIG = {
  compilerOptions: {
    target: 'es2023',
    lib: ['es2024', 'esnext.disposable'],
    module: 'nodenext',
    strict: true,
    declaration: true,
    rootDir: 'src',
    outDir: 'dist',
    types: ['node'],
    skipLibCheck: true,
  },
  include: ['src'],
}

function packageJson({ kind, name, scheme, language }: Answers): object {
  const typescript = language === 'typescript'
  const folder = typescript ? 'dist' : 'src'
  const needsKit = kind === 'target'
  return {
    name,
    version: '0.1.0',
    description: `${kind === 'transform' ? `The rule ${scheme}` : `${scheme}:// as a ${kind}`} for ferrite-migrate.`,
    license: 'MIT',
    type: 'module',
    keywords: ['ferrite-migrate-plugin'],
    engines: { node: '>=22.13' },
    files: [folder],
    exports: { '.': `./${folder}/index.js`, './package.json': './package.json' },
    scripts: {
      ...(typescript ? { build: 'tsc' } : {}),
      test: typescript ? 'tsc && node --test test/*.test.js' : 'node --test test/*.test.js',
    },
    ferriteMigrate: {
      contract: CONTRACT,
      adapters: [
        {
          kind,
          name: scheme,
          schemes: kind === 'transform' ? [] : [scheme],
          module: `./${folder}/index.js`,
          options:
            kind === 'transform'
              ? [{ name: 'prefix', type: 'string', description: 'What is put before each value', default: '' }]
              : [],
        },
      ],
    },
    oclif: {},
    dependencies: {
      '@ferrite-migrate/contracts': CONTRACTS,
      ...(needsKit ? { '@ferrite-migrate/conformance': CONTRACTS } : {}),
    },
    devDependencies: {
      ...(needsKit ? {} : { '@ferrite-migrate/conformance': CONTRACTS }),
      ...(typescript ? { '@types/node': '^24.0.0', typescript: '^5.9.0 || ^6.0.0 || ^7.0.0' } : {}),
    },
  }
}

function readme({ kind, name, scheme }: Answers): string {
  const use = {
    source: `ferrite-migrate migrate --plugin . --source ${scheme}:///path/to/lines.txt --target redis://localhost:6379 --mode live`,
    target: `ferrite-migrate migrate --plugin . --source redis://localhost:6379 --target ${scheme}://anything --mode snapshot`,
    transform: `ferrite-migrate transform test --plugin . -t rules.yaml --source redis://localhost:6379`,
  }[kind]
  const rule = `\n\`\`\`yaml\n# rules.yaml\ntransformations:\n  values:\n    - type: ${scheme}\n      prefix: "new "\n\`\`\`\n`
  return `# ${name}

${kind === 'transform' ? `The rule \`${scheme}\`` : `\`${scheme}://\` as a ${kind}`} for [ferrite-migrate](https://www.npmjs.com/package/ferrite-migrate).

\`\`\`bash
npm install
npm test          # the conformance kit
${use}
\`\`\`
${kind === 'transform' ? rule : ''}
Once it is published: \`ferrite-migrate plugins install ${name}\`.
`
}
