import { type MigrationConfig, passwordVariable, yamlText } from '@ferrite-migrate/core'
import type { EndAnswer } from './end-question.js'

export interface WizardAnswers {
  readonly source: EndAnswer
  readonly target: EndAnswer
  readonly mode: 'live' | 'snapshot' | 'incremental'
  readonly interval: string | undefined
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  readonly verify: boolean
}

/** The answers as a configuration to run. */
export function wizardConfig(answers: WizardAnswers): MigrationConfig {
  const { source, target, mode, include, exclude, verify } = answers
  const options = ({ options: given, password }: EndAnswer): Record<string, string> => ({
    ...given,
    ...(password === undefined ? {} : { password }),
  })
  return {
    source: source.url,
    target: target.url,
    mode,
    sourceOptions: options(source),
    targetOptions: options(target),
    filter: { include: [...include], exclude: [...exclude] },
    verify,
  }
}

/** The answers as migration.yaml; passwords come from the environment. */
export function wizardYaml(answers: WizardAnswers): string {
  const { mode, interval, include, exclude, verify } = answers
  const end = (which: 'source' | 'target'): unknown => {
    const { url, password, options } = answers[which]
    if (password === undefined && Object.keys(options).length === 0) return url
    return {
      url,
      ...(password === undefined ? {} : { password: `\${${passwordVariable(which)}}` }),
      ...(Object.keys(options).length === 0 ? {} : { options }),
    }
  }
  const file = {
    mode,
    source: end('source'),
    target: end('target'),
    ...(verify || interval !== undefined
      ? { options: { ...(interval === undefined ? {} : { interval }), ...(verify ? { verify } : {}) } }
      : {}),
    ...(include.length + exclude.length === 0
      ? {}
      : {
          filters: {
            ...(include.length === 0 ? {} : { include: [...include] }),
            ...(exclude.length === 0 ? {} : { exclude: [...exclude] }),
          },
        }),
  }
  return `# Made by ferrite-migrate wizard. Run it again: ferrite-migrate migrate -c FILE\n${yamlText(file)}`
}
