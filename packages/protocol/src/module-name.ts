const MODULE_NAME = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** The name in a module id. */
export function moduleName(high: number, low: number): string {
  let bits = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
  bits >>= 10n
  let name = ''
  for (let i = 0; i < 9; i++, bits >>= 6n) name = MODULE_NAME[Number(bits & 63n)] + name
  return name
}
