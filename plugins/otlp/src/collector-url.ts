import { MigrateError } from '@ferrite-migrate/contracts'

/** As OTLP over HTTP has it, where an address names no path. */
const PATH = '/v1/metrics'

/**
 * Where metrics are pushed to: `http://collector:4318` is that with /v1/metrics behind it.
 * @throws MigrateError FM_OPTION_VALUE
 */
export function collectorUrl(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : null
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new MigrateError(
      'FM_OPTION_VALUE',
      '--otlp is no address of a collector',
      'Give the one for OTLP over HTTP, such as http://collector:4318.',
    )
  if (url.username !== '' || url.password !== '')
    throw new MigrateError(
      'FM_OPTION_VALUE',
      '--otlp has a password in it, which everybody sees who lists processes',
      'Give it by the environment: OTEL_EXPORTER_OTLP_HEADERS="authorization=Basic …".',
    )
  if (url.pathname === '/') url.pathname = PATH
  return url.href
}
