import { sha256 } from "#sha256"
import { compare } from "../encoding/bytes.ts"
import { idBytes, type RecordId } from "../encoding/ids.ts"
import { accountItemsAtMost } from "../proof/account-statement.ts"
import { paths, recordSelfGrantsPath } from "../protocol/paths.ts"
import { readSelfGrants, putSelfGrants as schema } from "../protocol/records.ts"
import type { RecordKey } from "../vault/keys.ts"
import { selfGrantPlace } from "../vault/places.ts"
import { seal } from "../vault/seal.ts"
import { signAccount } from "./account-statements.ts"
import type { Session } from "./session.ts"

/** A key that was granted to this physician. */
export interface GrantedKey {
  readonly record: RecordId
  readonly epoch: number
  readonly key: RecordKey
  /** SHA-256 of the self-grant that does not open, which this one replaces. */
  readonly prev?: Uint8Array | undefined
}

/** Stores keys that were granted as the physician's own seals; once every epoch of a record has one, the record is accepted. One that is
 * stored stays, unless it is the `prev` of what comes. */
export async function putSelfGrants(session: Session, granted: readonly GrantedKey[]): Promise<void> {
  const { key: own, physician, around } = session
  const sorted = granted.toSorted((a, b) => compare(idBytes(a.record), idBytes(b.record)) || a.epoch - b.epoch)
  for (let at = 0; at < sorted.length; at += accountItemsAtMost) {
    const part = sorted.slice(at, at + accountItemsAtMost)
    const tokens = await Promise.all(
      part.map(({ record, epoch, key }) => seal(own, selfGrantPlace(physician, record, epoch), key, { exact: true })),
    )
    const items = part.map(({ record, epoch, prev }, i) => {
      return { subject: record, number: epoch, prev, hash: sha256(tokens[i]!) }
    })
    const json = schema.body.encode({ signed: await signAccount(session, "self-grants", items), tokens })
    await around.transport.call("POST", paths.selfGrants, { json, reply: schema.reply, background: true })
  }
}

/** The physician's self-grants of one epoch, the newest first, as far as the server keeps them. */
export async function formerSelfGrants(
  { around }: Session,
  record: RecordId,
  epoch: number,
): Promise<readonly Uint8Array[]> {
  const { tokens } = await around.transport.call("GET", recordSelfGrantsPath(record), {
    query: { epoch },
    reply: readSelfGrants.reply,
    background: true,
  })
  return tokens
}
