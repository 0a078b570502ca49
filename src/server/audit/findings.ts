import { AppError } from "../../errors.ts"

/** One row that is not what it must be. Names rows by id; never quotes what is in them. */
export interface Finding {
  /** Such as "entry record=… seq=3". */
  readonly row: string
  readonly what: string
}

export interface Count {
  readonly name: string
  readonly count: number
}

/** What an audit gathers while it goes. */
export interface Findings {
  readonly list: readonly Finding[]
  /** Notes that a row was tampered with. */
  tampered(row: string, what: string): void
  /** Notes it unless `holds`. */
  demand(holds: boolean, row: string, what: string): void
  /** Runs a check that throws on tampering. @returns `null` then; any other failure is thrown on */
  attempt<T>(row: string, check: () => Promise<T> | T): Promise<T | null>
}

const words: Readonly<Record<string, string>> = {
  TAMPERED_SIGNATURE: "the signature does not match",
  TAMPERED_CHAIN: "it does not fit on what came before it",
  TAMPERED_FORK: "it has seen another log than this one",
  TAMPERED_IDENTITY: "no identity of its author fits",
  TAMPERED_LOG: "the checkpoint is not one that this log's key signed",
  BAD_INPUT_STATEMENT: "the statement cannot be read",
  BAD_INPUT_SIZE: "the statement cannot be read",
  BAD_INPUT_FORMAT: "the statement cannot be read",
}

export function newFindings(): Findings {
  const list: Finding[] = []
  const tampered = (row: string, what: string): void => void list.push({ row, what })
  return {
    list,
    tampered,
    demand: (holds, row, what) => {
      if (!holds) tampered(row, what)
    },
    async attempt(row, check) {
      try {
        return await check()
      } catch (error) {
        const what = error instanceof AppError ? words[error.code] : wrongType(error)
        if (what === undefined) throw error
        tampered(row, what)
        return null
      }
    },
  }
}

/** A row by its keys, such as "entry record=… seq=3". */
export function rowName(table: string, keys: Readonly<Record<string, unknown>>): string {
  return [table, ...Object.entries(keys).map(([name, value]) => `${name}=${textOf(value)}`)].join(" ")
}

function textOf(value: unknown): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString("hex") : String(value)
}

/** SQLite lets any column hold any type. */
function wrongType(error: unknown): string | undefined {
  return error instanceof TypeError || error instanceof RangeError ? "it cannot be read" : undefined
}
