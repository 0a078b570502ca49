import { DatabaseSync } from "node:sqlite"
import { isId, type PracticeId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import type { TreeHead } from "../../proof/checkpoint.ts"
import { isOriginOf } from "../../proof/succession.ts"

/** What a database says of its log. Nothing of it is verified. */
export interface DatabaseHead {
  readonly practice: PracticeId
  readonly origin: string
  readonly tree: TreeHead
  /** The newest signed checkpoint. */
  readonly note: string
}

/** @throws BAD_INPUT_FORMAT for a file that is no database of Healthcrypt's, or is damaged */
export function readHead(file: string): DatabaseHead {
  let database: DatabaseSync | null = null
  try {
    database = new DatabaseSync(file, { readOnly: true, timeout: 10_000 })
    const value = database.prepare("select value from meta where name = ?")
    const practice = String(value.get("practice")?.value)
    const note = String(value.get("checkpoint")?.value)
    const tree = parseHead(note)
    if (!isId(practice) || tree === null || !isOriginOf(practice as PracticeId, tree.origin)) throw new Error("no log")
    return { practice: practice as PracticeId, origin: tree.origin, tree, note }
  } catch (cause) {
    throw noBackup(cause)
  } finally {
    database?.close()
  }
}

export function noBackup(cause: unknown): AppError {
  const advice = "This file is no backup of Healthcrypt's, or it is damaged. Check the path, or take another backup."
  return new AppError("BAD_INPUT_FORMAT", advice, { cause })
}

/** When the newest leaf of a database's log was made, in milliseconds since 1970; null where it cannot be read. */
export function newestTime(file: string): number | null {
  const [row] = rowsOf(file, "select time from leaf order by idx desc limit 1") ?? []
  return typeof row?.time === "number" ? row.time : null
}

/** The usernames of a database by physician; null where it cannot be read. */
export function usernamesIn(file: string): ReadonlyMap<string, string> | null {
  const rows = rowsOf(file, "select id, username from physician order by username")
  return rows === null ? null : new Map(rows.map(({ id, username }) => [String(id), String(username)]))
}

function rowsOf(file: string, query: string) {
  let database: DatabaseSync | null = null
  try {
    database = new DatabaseSync(file, { readOnly: true, timeout: 10_000 })
    return database.prepare(query).all()
  } catch {
    return null
  } finally {
    database?.close()
  }
}

/** Origin, size and root of a note whose signature nobody has looked at; null for what is none. */
export function parseHead(note: string): (TreeHead & { readonly origin: string }) | null {
  const [origin, size, root] = note.split("\n")
  if (!origin || !/^(0|[1-9]\d{0,14})$/.test(size ?? "")) return null
  const bytes = new Uint8Array(Buffer.from(root ?? "", "base64"))
  return bytes.length === 32 ? { origin, size: Number(size), root: bytes } : null
}
