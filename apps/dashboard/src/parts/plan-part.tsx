import type { Answers } from '@ferrite-migrate/api'
import { applyText, formatCount, levelText } from '@ferrite-migrate/core/page'
import { Table } from './table.js'

type Plan = Answers['migration.plan']['plan']

/** What is going to be done, why, and what the checks say. */
export function PlanPart({ plan }: { plan: Plan }) {
  const { mode, apply, keys, lanes, batchSize, onConflict, reasons, findings } = plan
  const facts: [string, string][] = [
    ['Mode', mode],
    ['Keys', keys === null ? 'the source does not tell' : formatCount(keys)],
    ['Changes', applyText(apply)],
    ['At once', `${formatCount(lanes)} lanes, ${formatCount(batchSize)} keys a batch`],
    ['Keys that are there', onConflict],
    ...reasons.map((reason): [string, string] => ['Because', reason]),
  ]
  return (
    <>
      <dl class="facts-list">
        {facts.map(([name, value]) => (
          <div key={name + value}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {findings.length > 0 && (
        <Table
          label="Checks"
          head={['Level', 'Code', 'What']}
          rows={findings.map(({ level, code, text }) => [
            <span key="level" class={`tag ${level === 'fail' ? 'bad' : level === 'warn' ? 'warn' : ''}`}>
              {levelText(level)}
            </span>,
            code,
            text,
          ])}
        />
      )}
    </>
  )
}
