import { PackedRecord } from '@ferrite-migrate/contracts'
import { ByteWindow, RdbReader } from '@ferrite-migrate/protocol'
import { expect, it } from 'vitest'

/** What Redis 8.6.2 saved: every type, streams with idempotent producers (type 26) among them. */
const RDB = Buffer.from(
  'UkVESVMwMDEz+glyZWRpcy12ZXIFOC42LjL6CnJlZGlzLWJpdHPAQPoFY3RpbWXCRmsKa/oIdXNlZC1tZW3CeLwvAPoOcmVwbC1zdHJlYW0tZG' +
    'LAAPoHcmVwbC1pZChmNGUwZTExNDZhNGM3MjJkYTA1YjAzNzdhNmMwMDlmZjUwMGE5NzQw+gtyZXBsLW9mZnNldMIFgAAA+ghhb2YtYmFzZcAA' +
    '9UBEIyFsdWEgbmFtZT1sCnJlZGlzLnJlZ2lzdGVyX2Z1bmN0aW9uKCdmJyxmdW5jdGlvbihrLGEpIHJldHVybiAxIGVuZCn+APsXAREEenNldB' +
    'QUAAAABACBYQKDMS41BIFiAgIB/xgGaDpodGV4ANjDLLsDAAADAAFiwAIBAWHAAYAAAYccA2JpZ8MJQGQBeHjgVwABeHgUBnNldDpscA0NAAAA' +
    'AgCBYQKBYgL/GgpzOmlkbXBsb25nARAAAAGiILMMmAAAAAAAAAAAKCgAAAAPAAIBAAEBAYFmAgABAgEAAQABgXYCBAECAQABAQGBdgIEAf8CgQ' +
    'AAAaIgswyYAYEAAAGiILMMmAAAAAIAgAABUYBAZAHDCUBGAVBQ4DkAAVBQAcMMQSwBSUng/wDgFwABSUmBAAABoiCzDJgBAgAaB3M6Z3JvdXAB' +
    'EAAAAAAAAAABAAAAAAAAAADDQEhAWgdaAAAAIwAFAUAAB4FmAgABAwEAIAEGgnYxAwQBAiAVQAsAMmALAAJgCwAzYAtAJQKCdjRgCwAEYBcANW' +
    'ALAAVgCwA2IAsA/wUGAAIAAQAGAwJnMQUABQQAAAAAAAAAAQAAAAAAAAAAlwyzIKIBAAABAAAAAAAAAAIAAAAAAAAAAJcMsyCiAQAAAgAAAAAA' +
    'AAAEAAAAAAAAAACXDLMgogEAAAIAAAAAAAAABQAAAAAAAAAAlwyzIKIBAAACAwVhbGljZZcMsyCiAQAAlwyzIKIBAAABAAAAAAAAAAEAAAAAAA' +
    'AAAANib2KXDLMgogEAAJcMsyCiAQAAAwAAAAAAAAACAAAAAAAAAAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAUAAAAAAAAAAARpZGxllwyzIKIB' +
    'AAD//////////wACZzIDAIH//////////wAAAmczBgAGAABAZEBkAAAAGgZzOmlkbXABEAAAAaIgswyXAAAAAAAAAADDQGJAewd7AAAAMQAHAU' +
    'AAB4FmAgABAgEAIAEDgXYCBCAKAAHgAwogIMAVAALgAQoFAwGCdzEDgCwABCALADIgCwAAICsABUAkAGEgQgWBYgICAQggJw8BAQYBh2RlbGV0' +
    'ZWQIBAH/B4EAAAGiILMMmAaBAAABoiCzDJcAgQAAAaIgswyYBggAgAABUYAKAgJwMQMCajGBAAABoiCzDJgDAmoygQAAAaIgswyYBARnb25lgQ' +
    'AAAaIgswyYBgJwMgEQxbKCk193pTEj4f96MCoR8oEAAAGiILMMmAUIAhoJczppZG1wbnVtARAAAAAAAAAAAQAAAAAAAAABw0BCQFIRUgAAABoA' +
    'AwEAAQEBgWECAAECIApADAAEIAUM9JcMsyCiAQAACd//AiAfBWYCgXYCBuAEGEAwgBcHgWcCAgEIAf8DgQAAAaIgswyYAQEBAAADAIAAAVGAQG' +
    'QCwTkwAcGmAoEAAAGiILMMmADABwEQNRwjdxVFYxQM6zUUiGsEXIEAAAGiILMMmAECAAsHc2V0OmludA4CAAAAAwAAAAEAAgADABoJczppZG1w' +
    'Y2ZnARAAAAAAAAAAAQAAAAAAAAABHBwAAAAKAAEBAAEBAYFhAgABAgEAAQABAQEEAf8BAQEBAQAAAQBBLEBNAAAABARoOmh0AgFhwAEDYmlnww' +
    'lAZAF4eOBXAAF4ePwA2MMsuwMAAAADdHRsAXYSBGxpc3QBAhAQAAAAAwCBYQKBYgKBYwL/GgxzOmVtcHR5Z3JvdXAAAAAAAAAAAAABAWcAAIH/' +
    '/////////wAAQGRAZAAAABoHczplbXB0eQAAAQEAAAEBAQBAZEBkAAAAGgZzOmJvdGgBEAAAAaIgswyYAAAAAAAAAAAoKAAAAA8AAgEAAQEBgW' +
    'YCAAECAQABAAGBdgIEAQIBAAEBAYF2AgQB/wKBAAABoiCzDJgBgQAAAaIgswyYAAAAAgEBZ4EAAAGiILMMmAECAgAAAaIgswyYAAAAAAAAAACY' +
    'DLMgogEAAAEAAAGiILMMmAAAAAAAAAABmAyzIKIBAAABAQFjmAyzIKIBAACYDLMgogEAAAIAAAGiILMMmAAAAAAAAAAAAAABoiCzDJgAAAAAAA' +
    'AAAYAAAVGAQGQBAXABAWmBAAABoiCzDJgBAgAZB2g6bHBleDAA2MMsuwMAABUVAAAABgCBYgICAQABgWECAQEAAf8aB3M6cGxhaW4BEAAAAAAA' +
    'AAABAAAAAAAAAAFAQkIAAAAZAAMBAAECAYFhAoFiAgABAgEAAQABAQECAQUBAgEAAQEBAwEEAQUBAAEBAd//AgEBhW90aGVyBoF4AgYB/wMCAA' +
    'EBAAADAEBkQGQAAAAZBmg6bHBleADYwyy7AwAALCwAAAAJAIFiAgIB9ADYwyy7AwAACYFjAgMB9KBexSy7AwAACYFhAgEBAAH/BwR2c2V0gb3n' +
    'LaK7HrQAAgMCAQJQAQICBQRlbGVtBQd7ImEiOjF9BQMqVX8CCQIBAoABAAABAgACIAIAAgACEAIAAoE/TUGyQG93UQAaCXM6ZGVsZXRlZAEQAA' +
    'AAAAAAAAEAAAAAAAAAAcMoMAcwAAAAFAACAUAAB4FhAgABAgEAIAEEAQEEAQNgB0AJQBNAIgIEAf8CAQMBAQECAwBAZEBkAAAAAANzdHIBdgAD' +
    'aW50wHsQBGg6bHAREQAAAAQAgWECAQGBYgICAf//gPV7z7qBYIM=',
  'base64',
)

async function types(bytes: Buffer): Promise<number[]> {
  const found: number[] = []
  let at = 0
  const window = new ByteWindow({
    next: async () => {
      if (at >= bytes.length) return null
      const chunk = bytes.subarray(at, at + 7)
      at += 7
      return chunk
    },
  })
  for await (const event of new RdbReader(window, { checksum: true }).read())
    if (event.kind === 'records') {
      for (const record of event.records) if (record instanceof PackedRecord) found.push(record.type)
      event.block.release()
    }
  return found
}

it('RDB 13 is read to its checksum, its streams among the rest', async () => {
  const found = await types(RDB)
  expect(found.length).toBeGreaterThan(5)
  expect(found).toContain(26)
})

it('one that is cut or damaged is an error, wherever', async () => {
  for (let end = 9; end < RDB.length; end += 13) await expect(types(RDB.subarray(0, end))).rejects.toThrow(/.+/)
  for (let at = 9; at < RDB.length; at += 61) {
    const damaged = Buffer.from(RDB)
    damaged[at] ^= 0x55
    await expect(types(damaged)).rejects.toMatchObject({ code: expect.stringMatching(/^FM_/) })
  }
})
