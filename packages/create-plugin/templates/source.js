import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { changeOf, defineSource, MigrateError, stringRecord } from '@ferrite-migrate/contracts'

const BLOCK = 64 << 10

/**
 * `SCHEME:///path`: a file of lines, each a key, a tab and a value. What is there is the snapshot, and what is appended are
 * changes. A position is an offset in the file, so that a run that was stopped goes on where it was.
 */
export const createSource = defineSource(async ({ url }) => {
  const path = fileURLToPath(url.replace(/^[^:]+:/, 'file:'))
  return {
    capabilities: { changes: 'lossless', resume: 'both' },
    description: { product: 'file of lines', file: path },
    shards: [
      {
        id: '0',
        covers: (position, mark) => Number(position) >= Number(mark),
        async *read({ from, signal, changes }) {
          const file = await open(path).catch((cause) => {
            throw new MigrateError('FM_FILE_UNREADABLE', `${path} cannot be opened`, 'Give another path.', { cause })
          })
          try {
            const { size } = await file.stat()
            let offset = Number(from ?? 0)
            if (!(offset <= size))
              throw new MigrateError('FM_POSITION_INVALID', `${path} has no place "${from}"`, 'Start again without it.')
            yield { kind: 'sync', mode: from === undefined ? 'full' : 'partial' }
            // From a position on, all that follows is a change; otherwise the snapshot ends where the file ends now.
            let live = changes && from !== undefined
            while (!signal.aborted) {
              const most = live ? BLOCK : Math.min(BLOCK, size - offset)
              const { buffer, bytesRead } = await file.read(Buffer.alloc(BLOCK), 0, most, offset)
              const byteLength = buffer.lastIndexOf('\n') + 1
              if (byteLength === 0 && bytesRead === BLOCK)
                throw new MigrateError('FM_IMPORT_ROW', `${path} has a line of ${BLOCK} bytes`, 'Shorten it.')
              offset += byteLength
              const position = String(offset)
              const lines = buffer.toString('latin1', 0, byteLength).split('\n').slice(0, -1)
              const pairs = lines.map((line) => {
                const tab = line.indexOf('\t')
                const at = tab < 0 ? line.length : tab
                return {
                  key: Buffer.from(line.slice(0, at), 'latin1'),
                  value: Buffer.from(line.slice(at + 1), 'latin1'),
                }
              })
              if (byteLength > 0 && live) {
                const records = pairs.map(({ key, value }) => changeOf(0, ['SET', key, value]))
                yield { kind: 'changes', records, byteLength, position }
              } else if (byteLength > 0) {
                const records = pairs.map(({ key, value }) => stringRecord(key, value))
                yield { kind: 'snapshot', records, byteLength, position }
              } else if (live) await sleep(100, undefined, { signal }).catch(() => undefined)
              else {
                yield { kind: 'snapshot-end', position }
                if (!changes) return
                live = true
              }
            }
          } finally {
            await file.close()
          }
        },
      },
    ],
  }
})
