import type { Answers } from '@ferrite-migrate/api'
import { formatCount } from '@ferrite-migrate/core/page'
import { analysisParts } from '@ferrite-migrate/core/page/analysis'
import { useState } from 'preact/hooks'
import type { Connection } from '../client/connection.js'
import { useTask } from '../client/use-task.js'
import { type Ends, EndsForm } from '../parts/ends-form.js'
import { Html } from '../parts/html.js'
import { Problem } from '../parts/problem.js'

/** What the source holds: asked for by hand, since it reads there. */
export function AnalysisView({ id, connection }: { id: string; connection: Connection }) {
  const [analysis, setAnalysis] = useState<Answers['migration.analyze'] | null>(null)
  const { busy, problem, run } = useTask()
  const look = (config?: Ends): Promise<void> =>
    run(async () => setAnalysis(await connection.ask('migration.analyze', { id, config })))
  return (
    <>
      <h2>Analysis of the source</h2>
      <p>
        <button type="button" class="quiet" disabled={busy} onClick={() => look()}>
          {busy ? 'Looking …' : analysis === null ? 'Look at the source' : 'Look again'}
        </button>{' '}
        <span class="none">Reads 20,000 keys of it, at 20,000 a second at most.</span>
      </p>
      <Problem of={problem} />
      <EndsForm problem={problem} onGiven={look} />
      {analysis !== null && (
        <>
          <p>
            {formatCount(analysis.lookedAt)} of {formatCount(analysis.totalKeys)} keys looked at
          </p>
          <Html class="analysis" of={analysisParts(analysis.summary, analysis.survey.shards ?? [])} />
        </>
      )}
    </>
  )
}
