import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const OPENERS: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  darwin: ['open'],
  win32: ['cmd', '/c', 'start', ''],
}

/**
 * Opens an address that holds a token in whatever the system opens pages with; nothing happens where there is no such thing. Others see
 * the arguments of a process: what is opened is a file of its owner's that leads on. It goes when this process does.
 */
export function openPage(address: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'ferrite-migrate-page-'))
  const file = join(folder, 'open.html')
  writeFileSync(
    file,
    `<!doctype html><meta http-equiv="refresh" content="0;url=${address}"><title>ferrite-migrate</title>\n`,
    {
      mode: 0o600,
    },
  )
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const [program, ...args] = OPENERS[process.platform] ?? ['xdg-open']
  const child = spawn(program, [...args, pathToFileURL(file).href], { stdio: 'ignore', detached: true })
  child.on('error', () => undefined)
  child.unref()
}
