import type { ReportResult } from '@ferrite-migrate/api'
import { formatCount, formatTime } from '@ferrite-migrate/core/page'
import { useState } from 'preact/hooks'
import { Table } from './table.js'

type Verification = NonNullable<ReportResult['report']>['verification']

const SHOWN = 200

/** What the last comparison found; its differences can be searched. */
export function VerificationPart({ report, rolledBack }: { report: Verification; rolledBack: boolean }) {
  const [wanted, setWanted] = useState('')
  if (report === null) return null
  const { differences } = report
  const all = report.mismatched + report.missingSource + report.missingTarget
  const text = wanted.toLowerCase()
  const found = differences.filter(({ key, kind, detail }) => `${key} ${kind} ${detail}`.toLowerCase().includes(text))
  return (
    <>
      <h2>Verification{rolledBack ? ', before the rollback' : ''}</h2>
      <p>
        <span class={`tag ${report.equal ? 'good' : report.complete ? 'bad' : 'warn'}`}>
          {report.equal ? 'equal' : report.complete ? 'different' : 'did not come to an end'}
        </span>{' '}
        {formatCount(report.compared)} compared, {formatCount(report.mismatched)} different,{' '}
        {formatCount(report.missingTarget)} missing at the target, {formatCount(report.missingSource)} only there;{' '}
        {formatTime(report.at)} UTC
      </p>
      {differences.length > 0 && (
        <>
          <label>
            Search in differences{' '}
            <input type="search" value={wanted} onInput={({ currentTarget }) => setWanted(currentTarget.value)} />
          </label>
          <p role="status" class="none">
            {formatCount(found.length)} of {formatCount(differences.length)} that are kept
            {all > differences.length ? `; ${formatCount(all)} in all` : ''}
          </p>
          <Table
            label="Differences"
            head={['Key', 'Database', 'Kind', 'What']}
            figures={[1]}
            rows={found.slice(0, SHOWN).map(({ key, db, kind, detail }) => [key, String(db), kind, detail])}
          />
        </>
      )}
    </>
  )
}
