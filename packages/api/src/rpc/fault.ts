import { MigrateError, toldError } from '@ferrite-migrate/contracts'
import { createJSONRPCErrorResponse, JSONRPCErrorException, type JSONRPCErrorResponse } from 'json-rpc-2.0'
import type { ErrorData } from '../protocol/results.js'

/** Codes of JSON-RPC 2.0, and the one of this protocol for whatever has an FM_ code. */
export const RpcCode = {
  parse: -32700,
  invalidRequest: -32600,
  unknownMethod: -32601,
  invalidParams: -32602,
  internal: -32603,
  migrate: -32000,
} as const

/** The client is told what it was. */
export function isAnswered(error: unknown): boolean {
  return error instanceof JSONRPCErrorException || error instanceof MigrateError
}

/** The error as it is answered; of a fault that is ours nothing is said but that it is one. */
export function faultOf(id: string | number | null, error: unknown): JSONRPCErrorResponse {
  if (error instanceof JSONRPCErrorException)
    return createJSONRPCErrorResponse(id, error.code, error.message, error.data)
  if (!(error instanceof MigrateError)) return createJSONRPCErrorResponse(id, RpcCode.internal, 'Internal error')
  const data: ErrorData = toldError(error)
  return createJSONRPCErrorResponse(id, RpcCode.migrate, data.message, data)
}
