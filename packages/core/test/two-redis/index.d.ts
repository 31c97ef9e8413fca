/** A server joins the source while it is read. @param place host:port */
export function arrive(place: string): void
/** A shard is none of the source any more. */
export function depart(shard: string): void
