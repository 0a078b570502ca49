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
    throw new AppError(
      "BAD_INPUT_FORMAT",
      "This file is no backup of Healthcrypt's, or it is damaged. Check the path, or take another backup.",
      { cause },
    )
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
