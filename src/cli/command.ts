import type { Readable } from "node:stream"
import type { Out, Talk } from "./out.ts"

/** Where a command reads and writes: nothing else of the process is touched by one, so that a test can run it like a terminal. It gets no
 * stream to write to, only {@link Out}. */
export interface Io {
  readonly stdin: Readable
  /** Results, and nothing else. */
  readonly out: Out
  /** Questions, progress, advice and errors. */
  readonly err: Talk
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether a person sits at standard input and standard error. */
  readonly isTerminal: boolean
}

interface CliOption {
  /** As commander writes them, such as "--port <number>". */
  readonly flags: string
  readonly description: string
  readonly default?: string | boolean
}

/** A command is data plus `run`, which answers with the exit code: 0 done, 1 refused, 2 usage, 3 tampered. */
export interface CliCommand {
  readonly name: string
  readonly summary: string
  /** As commander writes them, such as "<file...>". */
  readonly arguments?: string
  readonly options: readonly CliOption[]
  /** Whether it serves others: an output that cannot be written is no failure then. */
  readonly isServer?: boolean
  run(io: Io, options: Readonly<Record<string, unknown>>, args: readonly string[]): Promise<number>
}
