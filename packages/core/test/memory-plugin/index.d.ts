import type { MemoryStore } from '@ferrite-migrate/conformance'

/** What the source that was opened last in this process holds. */
export function sourceStore(): MemoryStore
/** What the target that was opened last in this process holds. */
export function targetStore(): MemoryStore
