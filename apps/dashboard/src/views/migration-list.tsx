import type { ApiStatus } from '@ferrite-migrate/api'
import { formatCount, formatTime } from '@ferrite-migrate/core/page'
import { useState } from 'preact/hooks'
import type { Connection, Reach } from '../client/connection.js'
import { useAsked } from '../client/use-asked.js'
import { Badge } from '../parts/badge.js'
import { Progress } from '../parts/progress.js'
import { lagText, rateText } from '../parts/status-words.js'
import { Table } from '../parts/table.js'
import { StartForm } from './start-form.js'

const EVERY_MS = 1000

interface ListProps {
  readonly connection: Connection
  readonly reach: Reach
  readonly onShow: (id: string) => void
}

export function MigrationList({ connection, reach, onShow }: ListProps) {
  const [starting, setStarting] = useState(false)
  const answer = useAsked(() => connection.ask('migration.list', {}), EVERY_MS, reach)
  const link = ({ id }: ApiStatus) => (
    <a
      href={`?id=${encodeURIComponent(id)}`}
      onClick={(event) => {
        event.preventDefault()
        onShow(id)
      }}
    >
      {id}
    </a>
  )
  return (
    <>
      <div class="bar-of-buttons">
        <h1>Migrations</h1>
        <button type="button" onClick={() => setStarting(true)}>
          New migration…
        </button>
      </div>
      {answer === null ? (
        <p class="none">Asking …</p>
      ) : answer.migrations.length === 0 ? (
        <p class="none">There is none yet in this state directory.</p>
      ) : (
        <Table
          label="Migrations"
          head={[
            'Migration',
            'State',
            'From and to',
            'First copy',
            'Keys',
            'Rate',
            'Behind',
            'Last sign of life (UTC)',
          ]}
          figures={[4, 5]}
          rows={answer.migrations.map((status) => [
            link(status),
            <Badge key="state" status={status} />,
            `${status.source} → ${status.target}`,
            <Progress key="progress" percent={status.progress} />,
            formatCount(status.keysDone),
            status.state === 'RUNNING' ? rateText(status) : '-',
            status.state === 'RUNNING' ? lagText(status) : '-',
            formatTime(status.updatedAt),
          ])}
        />
      )}
      {starting && (
        <StartForm
          connection={connection}
          onClose={() => setStarting(false)}
          onStarted={(id) => {
            setStarting(false)
            onShow(id)
          }}
        />
      )}
    </>
  )
}
