// Healthy is a container whose first process is at work: a service that answers, or a migration that runs.
import { readFileSync } from 'node:fs'

const port = Number(process.env.FERRITE_MIGRATE_HEALTH_PORT ?? 8970)
const command = readFileSync(process.env.FERRITE_MIGRATE_HEALTH_COMMAND ?? '/proc/1/cmdline', 'utf8').split('\0')
// What else runs in a container says by its end how it went.
if (command.includes('serve') || command.includes('dashboard')) {
  const answers = await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(4000) }).then(
    ({ ok }) => ok,
    () => false,
  )
  process.exitCode = answers ? 0 : 1
}
