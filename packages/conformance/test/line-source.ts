import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { changeOf, defineSource, MigrateError, stringRecord } from '@ferrite-migrate/contracts'

const BLOCK = 64 << 10

/** `lines:///path`: a file of lines, each a key, a tab and a value; what is appended are changes. Positions are offsets. */
export const createSource = defineSource(async ({ url }) => {
  const path = fileURLToPath(url.replace('lines:', 'file:'))
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
              const pairs = lines.map((line) => line.split('\t').map((text) => Buffer.from(text, 'latin1')))
              if (byteLength > 0 && live)
                yield {
                  kind: 'changes',
                  records: pairs.map((pair) => changeOf(0, ['SET', ...pair])),
                  byteLength,
                  position,
                }
              else if (byteLength > 0)
                yield { kind: 'snapshot', records: pairs.map(([k, v]) => stringRecord(k, v)), byteLength, position }
              else if (live) await sleep(100, undefined, { signal }).catch(() => undefined)
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
    async [Symbol.asyncDispose]() {},
  }
})
