import { sha256 } from "#sha256"
import { utf8 } from "../../encoding/bytes.ts"
import type { Id, PhysicianId, RecordId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import { type Signed, statementHash } from "../../proof/statement.ts"
import type { UnlockSeal } from "../../protocol/accounts.ts"
import type { Db } from "./connection.ts"
import type { NewPhysician } from "./store.ts"

/** @throws CONFLICT_USERNAME; CONFLICT_EXISTS also for the id of a record, which in the log is a subject alike */
export async function insertPhysician(db: Db, given: NewPhysician, time: number): Promise<void> {
  const taken = await db
    .selectFrom("physician")
    .select("id")
    .where((e) => e.or([e("username", "=", given.username), e("id", "=", given.physician)]))
    .execute()
  const record = await db
    .selectFrom("record")
    .select("id")
    .where("id", "=", given.physician as Id as RecordId)
    .executeTakeFirst()
  if (record !== undefined || taken.some((row) => row.id === given.physician)) throw new AppError("CONFLICT_EXISTS")
  if (taken.length > 0) throw new AppError("CONFLICT_USERNAME")
  const opaqueRecord = utf8(given.opaqueRecord)
  await db
    .insertInto("physician")
    .values({
      id: given.physician,
      username: given.username,
      opaque_record: opaqueRecord,
      opaque_record_sha256: sha256(opaqueRecord),
      recovery_key: given.recoveryKey,
      recovery_key_sha256: sha256(given.recoveryKey),
      profile_number: 0,
      profile: given.profile.token,
      profile_sha256: sha256(given.profile.token),
      profile_statement: given.profile.signed.statement,
      profile_statement_sha256: statementHash(given.profile.signed.statement),
      profile_signature: given.profile.signed.signature,
      keyring_number: 0,
      keyring: given.keyring.token,
      keyring_sha256: sha256(given.keyring.token),
      keyring_statement: given.keyring.signed.statement,
      keyring_statement_sha256: statementHash(given.keyring.signed.statement),
      keyring_signature: given.keyring.signed.signature,
      created: time,
    })
    .execute()
  const bytes = given.keyring.token.length + given.profile.token.length + given.identity.statement.length
  const usage = { physician: given.physician, bytes, records: 0, hour: 0, leaves: 0, acts: 0 }
  await db.insertInto("usage").values(usage).execute()
  await insertIdentity(db, given.physician, 0, given.identity)
  for (const seal of given.unlocks) await putUnlock(db, given.physician, seal)
}

export async function insertIdentity(db: Db, physician: PhysicianId, seq: number, signed: Signed): Promise<void> {
  await db
    .insertInto("identity")
    .values({
      physician,
      seq,
      statement: signed.statement,
      statement_sha256: statementHash(signed.statement),
      signature: signed.signature,
    })
    .execute()
}

export async function putPassword(db: Db, physician: PhysicianId, record: string, seal: UnlockSeal): Promise<void> {
  const opaqueRecord = utf8(record)
  await db
    .updateTable("physician")
    .set({ opaque_record: opaqueRecord, opaque_record_sha256: sha256(opaqueRecord) })
    .where("id", "=", physician)
    .execute()
  await putUnlock(db, physician, seal)
}

export async function putRecovery(db: Db, physician: PhysicianId, key: Uint8Array, seal: UnlockSeal): Promise<void> {
  await db
    .updateTable("physician")
    .set({ recovery_key: key, recovery_key_sha256: sha256(key) })
    .where("id", "=", physician)
    .execute()
  await putUnlock(db, physician, seal)
}

async function putUnlock(db: Db, physician: PhysicianId, { method, generation, token }: UnlockSeal): Promise<void> {
  const row = { generation, token, token_sha256: sha256(token) }
  await db
    .insertInto("unlock")
    .values({ physician, method, ...row })
    .onConflict((conflict) => conflict.columns(["physician", "method"]).doUpdateSet(row))
    .execute()
}
