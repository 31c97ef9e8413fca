import type { ReportResult } from '@ferrite-migrate/api'
import { failureKinds, formatCount } from '@ferrite-migrate/core/page'
import { Table } from './table.js'

type Report = NonNullable<ReportResult['report']>

/** What could not be carried, and what failed, by kind. */
export function LostPart({ report, failed }: { report: Report; failed: number }) {
  const { notCarried, failures, passed } = report
  const kinds = failureKinds(failures)
  const rows = [
    ...notCarried.map(({ what, count, examples }) => [what, formatCount(count), examples.join(', ')]),
    ...(passed.count > 0
      ? [
          [
            'values that no rule could change, carried as they were',
            formatCount(passed.count),
            passed.examples.join(', '),
          ],
        ]
      : []),
  ]
  return (
    <>
      <h2>What cannot be carried</h2>
      {rows.length === 0 ? (
        <p class="none">Nothing so far.</p>
      ) : (
        <Table label="What cannot be carried" head={['What', 'Count', 'Such as']} figures={[1]} rows={rows} />
      )}
      {kinds.length > 0 && (
        <>
          <h2>Failures by kind</h2>
          <Table
            label="Failures by kind"
            head={['Why', 'Keys', 'Which']}
            figures={[1]}
            rows={kinds.map(({ reason, keys }) => [
              reason,
              formatCount(keys.length),
              <details key="keys">
                <summary>{keys.slice(0, 3).join(', ')}</summary>
                {keys.slice(3).join(', ')}
              </details>,
            ])}
          />
          {failed > failures.length && <p class="none">{formatCount(failed - failures.length)} more are counted.</p>}
        </>
      )}
    </>
  )
}
