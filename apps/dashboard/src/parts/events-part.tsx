import type { Answers } from '@ferrite-migrate/api'
import { eventText, formatTime } from '@ferrite-migrate/core/page'
import { useState } from 'preact/hooks'
import { Table } from './table.js'

const SHOWN = 100

/** The audit trail, newest first. */
export function EventsPart({ events }: { events: Answers['migration.events']['events'] }) {
  const [all, setAll] = useState(false)
  const newest = events.toReversed()
  return (
    <>
      <h2>Events</h2>
      <Table
        label="Events"
        head={['Time (UTC)', 'Event', 'What', 'Who']}
        rows={(all ? newest : newest.slice(0, SHOWN)).map((event) => [
          formatTime(event.at),
          event.type,
          eventText(event),
          event.actor,
        ])}
      />
      {newest.length > SHOWN && (
        <button type="button" class="quiet" onClick={() => setAll(!all)}>
          {all ? `Show the newest ${SHOWN}` : `Show all ${newest.length}`}
        </button>
      )}
    </>
  )
}
