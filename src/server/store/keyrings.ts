import { sql } from "kysely"
import { sha256 } from "#sha256"
import { equal } from "../../encoding/bytes.ts"
import type { PhysicianId, SegmentId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import { parseAccount } from "../../proof/account-statement.ts"
import { type Signed, statementHash } from "../../proof/statement.ts"
import { nextKeyring } from "../../proof/succession.ts"
import type { LeafInfo } from "../../protocol/log.ts"
import type { Db } from "./connection.ts"
import type { Batch, GroupCommit } from "./group-commit.ts"
import { leafAt } from "./log-rows.ts"
import type { Charge } from "./quota.ts"
import type { AccountStore, NextToken } from "./store.ts"
import type { Tree } from "./tree.ts"

const keptAtLeast = 10
const dayMs = 24 * 3_600_000
const keptDays = 30
/** A segment that no keyring has listed yet may be on its way to be: another device is folding. */
const strayMs = 3_600_000

type Part = "keyring" | "profile"

/** Keyrings and profiles: the newest of each, and those that were replaced. */
export function keyringStore(
  reader: Db,
  writer: GroupCommit,
  tree: Tree,
  charge: Charge,
  restores: number,
): Pick<AccountStore, "keyring" | "putKeyring" | "putProfile" | "formerAccount"> {
  return {
    keyring: (physician) => keyringOf(reader, physician),

    async putKeyring(keyring) {
      const { physician, number, signed, stays, since } = keyring
      const added = await writer.write(async (batch): Promise<LeafInfo | null> => {
        const before = await listedSegments(batch.db, physician)
        if (!(await replace(batch, "keyring", keyring, restores))) return null
        // Of former keyrings a bounded number is kept: what counts is the leaf, and the segments that go.
        const freed = await dropSegments(batch, physician, stays, before)
        await charge(batch.db, physician, { bytes: -freed, leaves: 1 }, batch.time)
        return batch.addLeaf({
          subject: physician,
          stream: "keyring",
          number,
          type: "keyring",
          actor: physician,
          statementHash: statementHash(signed.statement),
        })
      })
      return tree.receipt(added ?? (await leafAt(reader, physician, "keyring", number)), since)
    },

    putProfile: (profile) =>
      writer.write(async (batch) => {
        // As with keyrings; a profile has no leaf, and is counted as one so that it is not stored without end.
        if (await replace(batch, "profile", profile, 0))
          await charge(batch.db, profile.physician, { bytes: 0, leaves: 1 }, batch.time)
      }),

    formerAccount: (physician) =>
      reader.transaction().execute(async (db) => {
        const keyrings = await formerOf(db, "keyring", physician)
        return {
          keyrings: await Promise.all(
            keyrings.map(async (one) => ({ ...one, leaf: await leafAt(db, physician, "keyring", one.number) })),
          ),
          profiles: await formerOf(db, "profile", physician),
        }
      }),
  }
}

export async function keyringOf(db: Db, physician: PhysicianId) {
  const keyring = await partOf(db, "keyring", physician)
  return { ...keyring, leaf: await leafAt(db, physician, "keyring", keyring.number) }
}

export function profileOf(db: Db, physician: PhysicianId) {
  return partOf(db, "profile", physician)
}

async function partOf(db: Db, part: Part, physician: PhysicianId) {
  const row = await db
    .selectFrom("physician")
    .select([`${part}_number as number`, `${part} as token`])
    .select([`${part}_statement as statement`, `${part}_signature as signature`])
    .where("id", "=", physician)
    .executeTakeFirstOrThrow()
  return { number: row.number, token: row.token, ...signedOf(row.statement, row.signature) }
}

async function formerOf(db: Db, part: Part, physician: PhysicianId) {
  const rows = await db
    .selectFrom(`replaced_${part}`)
    .select(["number", "token", "statement", "signature", "replaced"])
    .where("physician", "=", physician)
    .orderBy("number", "desc")
    .execute()
  return rows.map(({ number, token, replaced, statement, signature }) => ({
    number,
    token,
    replaced,
    ...signedOf(statement, signature),
  }))
}

function signedOf(statement: Uint8Array | null, signature: Uint8Array | null): { signed?: Signed } {
  return statement === null || signature === null ? {} : { signed: { statement, signature } }
}

/** Compare-and-swap on number and hash; what was there goes among the former ones.
 * @returns false where this very one is stored already. @throws CONFLICT_KEYRING */
async function replace(
  { db, time }: Batch,
  part: Part,
  { physician, number, prev, token, signed }: NextToken,
  restores: number,
) {
  const stored = await db
    .selectFrom("physician")
    .select([`${part}_number as number`, `${part} as token`, `${part}_sha256 as token_sha256`])
    .select([`${part}_statement as statement`, `${part}_statement_sha256 as statement_sha256`])
    .select(`${part}_signature as signature`)
    .where("id", "=", physician)
    .executeTakeFirstOrThrow()
  const hash = sha256(token)
  if (stored.number === number && equal(stored.token_sha256, hash)) return false
  // A token that a failing disk has changed is still to be replaced: by its own hash, or by that of what is left of it.
  const follows = equal(stored.token_sha256, prev) || equal(sha256(stored.token), prev)
  if (number !== nextKeyring(stored.number, restores) || !follows) throw new AppError("CONFLICT_KEYRING")
  await db
    .insertInto(`replaced_${part}`)
    .values({ ...stored, physician, replaced: time })
    .execute()
  await db
    .updateTable("physician")
    .set({
      [`${part}_number`]: number,
      [part]: token,
      [`${part}_sha256`]: hash,
      [`${part}_statement`]: signed.statement,
      [`${part}_statement_sha256`]: statementHash(signed.statement),
      [`${part}_signature`]: signed.signature,
    })
    .where("id", "=", physician)
    .execute()
  await prune(db, part, physician, time)
  return true
}

/** The ten newest stay, and of every day of a month the newest. */
async function prune(db: Db, part: Part, physician: PhysicianId, now: number): Promise<void> {
  const rows = await db
    .selectFrom(`replaced_${part}`)
    .select(["number", "replaced"])
    .where("physician", "=", physician)
    .orderBy("number", "desc")
    .execute()
  const days = new Set<number>()
  const gone = rows.filter(({ replaced }, i) => {
    const day = Math.floor(replaced / dayMs)
    const first = !days.has(day) && now - replaced < keptDays * dayMs
    days.add(day)
    return i >= keptAtLeast && !first
  })
  if (gone.length === 0) return
  await db
    .deleteFrom(`replaced_${part}`)
    .where("physician", "=", physician)
    .where(
      "number",
      "in",
      gone.map(({ number }) => number),
    )
    .execute()
}

/** What the keyring that is about to be replaced has listed; nothing for one of version 0.2, which says it to nobody. */
async function listedSegments(db: Db, physician: PhysicianId): Promise<ReadonlySet<string>> {
  const { statement } = await db
    .selectFrom("physician")
    .select("keyring_statement as statement")
    .where("id", "=", physician)
    .executeTakeFirstOrThrow()
  return new Set(
    statement === null
      ? []
      : parseAccount(statement)
          .items.slice(1)
          .map(({ subject }) => subject),
  )
}

/** Drops segments that do not stay: those that were listed at once, those that no keyring has listed once nobody is folding them.
 * @returns how many bytes they had. */
async function dropSegments(
  { db, time }: Batch,
  physician: PhysicianId,
  stays: ReadonlySet<SegmentId>,
  before: ReadonlySet<string>,
): Promise<number> {
  const rows = await db
    .selectFrom("segment")
    .select(["id", "created", sql<number>`length(token)`.as("bytes")])
    .where("physician", "=", physician)
    .execute()
  const gone = rows.filter(({ id, created }) => !stays.has(id) && (before.has(id) || created <= time - strayMs))
  for (const { id } of gone) await db.deleteFrom("segment").where("id", "=", id).execute()
  return gone.reduce((sum, { bytes }) => sum + bytes, 0)
}
