import type { RecordId } from "../encoding/ids.ts"
import { paths } from "../protocol/paths.ts"
import { putSelfGrants as schema } from "../protocol/records.ts"
import type { RecordKey } from "../vault/keys.ts"
import { selfGrantPlace } from "../vault/places.ts"
import { seal } from "../vault/seal.ts"
import type { Session } from "./session.ts"

/** So many records go into one request. */
const recordsAtOnce = 256

/** A key that was granted to this physician. */
export interface GrantedKey {
  readonly record: RecordId
  readonly epoch: number
  readonly key: RecordKey
}

/** Stores keys that were granted as the physician's own seals; once every epoch of a record has one, the record is accepted. */
export async function putSelfGrants(session: Session, granted: readonly GrantedKey[]): Promise<void> {
  const { key: own, physician, around } = session
  const groups = [...Map.groupBy(granted, ({ record }) => record)]
  for (let at = 0; at < groups.length; at += recordsAtOnce) {
    const records = await Promise.all(
      groups.slice(at, at + recordsAtOnce).map(async ([record, keys]) => ({
        record,
        selfGrants: await Promise.all(
          keys.map(async ({ epoch, key }) => ({
            epoch,
            token: await seal(own, selfGrantPlace(physician, record, epoch), key, { exact: true }),
          })),
        ),
      })),
    )
    const json = schema.body.encode({ records })
    await around.transport.call("POST", paths.selfGrants, { json, reply: schema.reply, background: true })
  }
}
