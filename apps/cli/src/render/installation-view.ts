import { formatBytes, THIN } from '@ferrite-migrate/cli-kit'
import type { Installation, Place } from '../installation/installation.js'

function placeLine(what: string, { path, fault, free }: Place): string {
  if (fault !== null) return `❌ ${what} ${path}: ${fault}`
  return `✅ ${what} ${path}${free === null ? '' : `, ${formatBytes(free)} free`}`
}

/** What is installed, as doctor shows it. */
export function installationLines(installation: Installation): string[] {
  const { program, version, node, platform, plugins, state, temporary } = installation
  const faulty = plugins.filter(({ fault }) => fault !== null)
  return [
    'INSTALLATION',
    THIN,
    `✅ ${program} ${version}, Node ${node}, ${platform}`,
    placeLine('state', state),
    placeLine('temporary files', temporary),
    ...(faulty.length === 0
      ? [`✅ ${plugins.length} plugins: ${plugins.map(({ name }) => name.replace('@ferrite-migrate/', '')).join(', ')}`]
      : faulty.map(({ name, version: of, fault }) => `❌ ${name} ${of}: ${fault}`)),
    '',
  ]
}

/** The same for a bug report: everything, a line each. */
export function versionLines(installation: Installation): string[] {
  const { program, version, node, platform, contract, folder, executable, plugins, state } = installation
  return [
    `${program}/${version} ${platform} node-v${node}`,
    '',
    `contract  ${contract}`,
    `folder    ${folder}`,
    ...(executable === null ? [] : [`one file  ${executable}`]),
    `state     ${state.path}${state.fault === null ? '' : ` (${state.fault})`}`,
    'plugins',
    ...plugins.map((plugin) => {
      const of = plugin.contract === null ? '' : `, contract ${plugin.contract}`
      return `  ${plugin.name} ${plugin.version}${of}${plugin.fault === null ? '' : ` – ${plugin.fault}`}`
    }),
  ]
}
