import { TestServer } from '@ferrite-migrate/servers'
import { afterEach } from 'vitest'

/** What a test started, ended after it in reverse order. */
export const stops: (() => Promise<unknown>)[] = []

/** A server that is stopped when the test is over. */
export async function start(options: Parameters<typeof TestServer.start>[0] = {}): Promise<TestServer> {
  const server = await TestServer.start(options)
  stops.push(() => server.stop())
  return server
}

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})
