import type { RecordId } from "../encoding/ids.ts"
import { paths } from "../protocol/paths.ts"
import { putSelfGrants as schema } from "../protocol/records.ts"
import type { RecordKey } from "../vault/keys.ts"
import { selfGrantPlace } from "../vault/places.ts"
import { seal } from "../vault/seal.ts"
import type { Session } from "./session.ts"

/** So many records go into one request, with so many keys: some 3 MiB. */
const recordsAtOnce = 256
const keysAtOnce = 16_384

/** A key that was granted to this physician. */
export interface GrantedKey {
  readonly record: RecordId
  readonly epoch: number
  readonly key: RecordKey
}

/** Stores keys that were granted as the physician's own seals; once every epoch of a record has one, the record is accepted. */
export async function putSelfGrants(session: Session, granted: readonly GrantedKey[]): Promise<void> {
  const { key: own, physician, around } = session
  for (const batch of batches(granted)) {
    const records = await Promise.all(
      batch.map(async ([record, keys]) => ({
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

function batches(granted: readonly GrantedKey[]): (readonly [RecordId, readonly GrantedKey[]])[][] {
  const all: (readonly [RecordId, readonly GrantedKey[]])[][] = []
  let inLast = 0
  for (const group of Map.groupBy(granted, ({ record }) => record)) {
    const [, keys] = group
    const last = all.at(-1)
    if (last !== undefined && last.length < recordsAtOnce && inLast + keys.length <= keysAtOnce) last.push(group)
    else all.push([group])
    inLast = all.at(-1) === last ? inLast + keys.length : keys.length
  }
  return all
}
