/** The names of what the queue's server keeps of one migration. */
export class RunKeys {
  private readonly base: string

  constructor(prefix: string, id: string) {
    this.base = `${prefix}:run:${id}`
  }

  /** Hash: the migration as plain rows, and who wrote it. */
  get copy(): string {
    return `${this.base}:copy`
  }
  /** List of events, oldest first. */
  get events(): string {
    return `${this.base}:events`
  }
  /** List of samples, oldest first. */
  get samples(): string {
    return `${this.base}:samples`
  }
  /** Who follows the migration; expires. */
  get hold(): string {
    return `${this.base}:hold`
  }
  /** List of requests for whoever follows it. */
  get asked(): string {
    return `${this.base}:asked`
  }
  /** Hash: answers by the name of the request. */
  get answers(): string {
    return `${this.base}:answers`
  }
  /** The task of all shards, as JSON without any secret. */
  get task(): string {
    return `${this.base}:task`
  }
  /** Hash: what all workers are to do now, with a version. */
  get control(): string {
    return `${this.base}:control`
  }
  /** Hash: by shard the epoch and version that its worker has obeyed. */
  get acks(): string {
    return `${this.base}:acks`
  }
  /** How often a shard was taken, of all shards together. */
  get epoch(): string {
    return `${this.base}:epoch`
  }
  /** Hash: by shard who has it. */
  get holders(): string {
    return `${this.base}:holders`
  }
  /** Hash: by shard the last durable position. */
  get positions(): string {
    return `${this.base}:positions`
  }
  /** Hash: by shard how it ended, as JSON. */
  get over(): string {
    return `${this.base}:over`
  }
  /** Hash: by shard and epoch what was counted. */
  get counts(): string {
    return `${this.base}:counts`
  }
  /** Hash: by shard its phase, and whether ends of keys are held back. */
  get state(): string {
    return `${this.base}:state`
  }
  /** Stream of what workers tell. */
  get told(): string {
    return `${this.base}:told`
  }
  /** Up to where that was heard. */
  get heard(): string {
    return `${this.base}:heard`
  }
  /** Stream of questions, and of signs that `control` has changed. */
  get orders(): string {
    return `${this.base}:orders`
  }
  /** Hash: what a worker changes at the source for the moment. */
  get loans(): string {
    return `${this.base}:loans`
  }

  /** Hash: keys that the migration has touched at a target that was not empty, and whether they are new. */
  get undoKeys(): string {
    return `${this.base}:undo-keys`
  }
  /** Hash: what those were that are not new. */
  get undoValues(): string {
    return `${this.base}:undo-values`
  }
  /** About how many bytes both take; without it there is no journal. */
  get undoBytes(): string {
    return `${this.base}:undo-bytes`
  }

  /** What only workers need while they run. */
  get ofWorkers(): readonly string[] {
    const { task, control, acks, holders, over, state, told, heard, orders } = this
    return [task, control, acks, holders, over, state, told, heard, orders]
  }
}

/** By the time of their beginning, all migrations that the queue knows. */
export function runsKey(prefix: string): string {
  return `${prefix}:runs`
}

/** Hash: by name the workers that live, with their last sign of life. */
export function workersKey(prefix: string): string {
  return `${prefix}:workers`
}

/** Of the job queue. */
export const QUEUE_NAME = 'shards'
/** The shard of a job that runs all of them. */
export const WHOLE = '*'
