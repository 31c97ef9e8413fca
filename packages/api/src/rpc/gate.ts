import {
  createJSONRPCErrorResponse as fault,
  type JSONRPCRequest,
  type JSONRPCResponse,
  type JSONRPCServer,
} from 'json-rpc-2.0'
import { RpcCode } from './fault.js'

/** Requests in one batch at most. */
const MOST_AT_ONCE = 1000

/**
 * Answers a message as JSON-RPC 2.0 wants it, also where the library would not: batches of one, values that are no request, methods that are
 * no text. Null = nothing is to be said.
 */
export async function answer<C>(
  server: JSONRPCServer<C>,
  text: string,
  context: C,
): Promise<JSONRPCResponse | JSONRPCResponse[] | null> {
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch {
    return fault(null, RpcCode.parse, 'Parse error')
  }
  const one = async (given: unknown): Promise<JSONRPCResponse | null> =>
    isRequest(given) ? await server.receive(given, context) : fault(null, RpcCode.invalidRequest, 'Invalid Request')
  if (!Array.isArray(message)) return one(message)
  if (message.length === 0 || message.length > MOST_AT_ONCE)
    return fault(null, RpcCode.invalidRequest, 'Invalid Request')
  const all = (await Promise.all(message.map(one))).filter((response) => response !== null)
  return all.length === 0 ? null : all
}

function isRequest(given: unknown): given is JSONRPCRequest {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return false
  const { jsonrpc, method, params, id } = given as Record<string, unknown>
  return (
    jsonrpc === '2.0' &&
    typeof method === 'string' &&
    (params === undefined || (typeof params === 'object' && params !== null)) &&
    (id === undefined || id === null || typeof id === 'string' || (typeof id === 'number' && comesBack(id)))
  )
}

/** Whoever asks looks for the answer by its number: one that is not given back as it was finds nobody. */
function comesBack(id: number): boolean {
  return Number.isFinite(id) && Math.abs(id) <= Number.MAX_SAFE_INTEGER
}
