import { equal, parseUtf8 } from "../../encoding/bytes.ts"
import type { Id, PhysicianId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import type { PublicKeys } from "../../proof/chain.ts"
import { fingerprintOf, parseIdentity } from "../../proof/identity.ts"
import { type Signed, statementHash } from "../../proof/statement.ts"
import { spendInvite } from "./access.ts"
import { insertIdentity, insertPhysician, putPassword, putRecovery } from "./account-rows.ts"
import type { Db } from "./connection.ts"
import type { StoreContext } from "./context.ts"
import { keyringOf, keyringStore, profileOf } from "./keyrings.ts"
import { leafAt } from "./log-rows.ts"
import { prepare } from "./prepared.ts"
import { insertSession } from "./sessions.ts"
import type { AccountStore, NewUnlocks } from "./store.ts"

export function accountStore({ reader, writer, tree, practice, charge, restores }: StoreContext): AccountStore {
  const keys = new KeyCache(reader)
  const newestIdentity = prepare<{ physician: PhysicianId }, { statement: Uint8Array }>((p) =>
    reader
      .selectFrom("identity")
      .select("statement")
      .where("physician", "=", p.physician)
      .orderBy("seq", "desc")
      .limit(1),
  )
  return {
    async usernameTaken(username) {
      return (await byUsername(reader, username)) !== undefined
    },

    async findCredential(username) {
      const row = await byUsername(reader, username)
      if (row === undefined) return null
      return { physician: row.id, opaqueRecord: parseUtf8(row.opaque_record), recoveryKey: row.recovery_key }
    },

    async register(physician, session, codeHash = null) {
      // In the log physicians and the practice are subjects alike.
      if ((physician.physician as Id) === practice) throw new AppError("CONFLICT_EXISTS")
      const leaves = await writer.write(async (batch) => {
        if (await isStored(batch.db, physician.physician, 0, physician.identity)) {
          await insertSession(batch.db, session)
          return null
        }
        if (codeHash !== null) await spendInvite(batch.db, codeHash, batch.time)
        await insertPhysician(batch.db, physician, batch.time)
        await insertSession(batch.db, session)
        await charge(batch.db, physician.physician, { bytes: 0, leaves: 2 }, batch.time)
        const event = { subject: physician.physician, number: 0, actor: physician.physician }
        const identity = statementHash(physician.identity.statement)
        return {
          identity: batch.addLeaf({ ...event, stream: "identity", type: "identity", statementHash: identity }),
          keyring: batch.addLeaf({
            ...event,
            stream: "keyring",
            type: "keyring",
            statementHash: statementHash(physician.keyring.signed.statement),
          }),
        }
      })
      const { identity, keyring } = leaves ?? {
        identity: await leafAt(reader, physician.physician, "identity", 0),
        keyring: await leafAt(reader, physician.physician, "keyring", 0),
      }
      return { identity: await tree.receipt(identity, 0), keyring: await tree.receipt(keyring, 0) }
    },

    account: (physician) =>
      reader.transaction().execute(async (db) => {
        const { username } = await db
          .selectFrom("physician")
          .select("username")
          .where("id", "=", physician)
          .executeTakeFirstOrThrow()
        return {
          physician,
          username,
          identity: await identitiesOf(db, physician),
          unlocks: await unlocksOf(db, physician),
          profile: await profileOf(db, physician),
          keyring: await keyringOf(db, physician),
        }
      }),

    async usernameOf(physician) {
      const row = reader.selectFrom("physician").select("username").where("id", "=", physician)
      return (await row.executeTakeFirstOrThrow()).username
    },

    async newestIdentities(physician) {
      const newest = reader.selectFrom("identity").select(["statement", "signature"]).where("physician", "=", physician)
      return (await newest.orderBy("seq", "desc").limit(2).execute()).reverse()
    },
    async identityTime(physician, seq) {
      const row = await reader
        .selectFrom("leaf")
        .select("time")
        .where("subject", "=", physician)
        .where("stream", "=", "identity")
        .where("number", "=", seq)
        .executeTakeFirst()
      return row?.time ?? null
    },
    unlocks: (physician) => unlocksOf(reader, physician),
    findKeys: (physician, fingerprint) => keys.find(physician, fingerprint),

    async newestFingerprint(physician) {
      const row = await newestIdentity(reader, { physician })
      if (row.rows[0] === undefined) return null
      const { signKey, sealKey } = parseIdentity(row.rows[0].statement)
      return fingerprintOf(physician, signKey, sealKey)
    },

    async findPhysician(username) {
      return (await byUsername(reader, username))?.id ?? null
    },

    async readIdentity(physician, since) {
      const state = tree.state
      const rows = await reader
        .selectFrom("identity")
        .innerJoin("leaf", (join) =>
          join
            .onRef("leaf.subject", "=", "identity.physician")
            .on("leaf.stream", "=", "identity")
            .onRef("leaf.number", "=", "identity.seq"),
        )
        .select(["statement", "signature", "idx", "time", "salt"])
        .where("physician", "=", physician)
        .where("leaf.idx", "<", state.size)
        .orderBy("seq")
        .execute()
      const newest = rows.at(-1)
      if (newest === undefined) return null
      const [inclusion] = await tree.inclusions([newest.idx], state)
      const account = reader.selectFrom("physician").select("suspended").where("id", "=", physician)
      return {
        suspended: (await account.executeTakeFirstOrThrow()).suspended !== null,
        identity: rows.map(({ statement, signature }) => ({ statement, signature })),
        leaf: { index: newest.idx, time: newest.time, salt: newest.salt },
        inclusion: inclusion!,
        log: await tree.logState(since, state),
      }
    },

    async replaceUnlocks(change) {
      const { physician, seq, identity, since } = change
      const added = await writer.write(async (batch) => {
        if (await isStored(batch.db, physician, seq, identity)) return null
        await replaceUnlocks(batch.db, change)
        // Twenty a day at most: whoever has to change a password now is not kept from it.
        await charge(batch.db, physician, { bytes: identity.statement.length, leaves: 1 }, batch.time, "always")
        return batch.addLeaf({
          subject: physician,
          stream: "identity",
          number: seq,
          type: "identity",
          actor: physician,
          statementHash: statementHash(identity.statement),
        })
      })
      // What was replaced lies in the write-ahead log until that begins anew.
      await writer.checkpoint()
      return tree.receipt(added ?? (await leafAt(reader, physician, "identity", seq)), since)
    },

    ...keyringStore(reader, writer, tree, charge, restores),
  }
}

/** Whether this very identity is stored already: a client whose connection broke sends it again. */
async function isStored(db: Db, physician: PhysicianId, seq: number, { statement }: Signed): Promise<boolean> {
  const row = await db
    .selectFrom("identity")
    .select("statement")
    .where("physician", "=", physician)
    .where("seq", "=", seq)
    .executeTakeFirst()
  return row !== undefined && equal(row.statement, statement)
}

async function replaceUnlocks(db: Db, change: NewUnlocks): Promise<void> {
  const newest = await db
    .selectFrom("identity")
    .select((e) => e.fn.max("seq").as("seq"))
    .where("physician", "=", change.physician)
    .executeTakeFirst()
  if (newest?.seq !== change.seq - 1) throw new AppError("CONFLICT_IDENTITY")
  await insertIdentity(db, change.physician, change.seq, change.identity)
  if (change.recovery) await putRecovery(db, change.physician, change.recovery.recoveryKey, change.recovery.seal)
  if (change.password) {
    await putPassword(db, change.physician, change.password.opaqueRecord, change.password.seal)
    await db.deleteFrom("session").where("physician", "=", change.physician).where("id", "!=", change.session).execute()
  }
}

function byUsername(db: Db, username: string) {
  return db
    .selectFrom("physician")
    .select(["id", "opaque_record", "recovery_key"])
    .where("username", "=", username)
    .executeTakeFirst()
}

async function identitiesOf(db: Db, physician: PhysicianId): Promise<Signed[]> {
  return db
    .selectFrom("identity")
    .select(["statement", "signature"])
    .where("physician", "=", physician)
    .orderBy("seq")
    .execute()
}

async function unlocksOf(db: Db, physician: PhysicianId) {
  return db
    .selectFrom("unlock")
    .select(["method", "generation", "token"])
    .where("physician", "=", physician)
    .orderBy("method")
    .execute()
}

const keptKeys = 4096

/** Keys by physician and fingerprint. A fingerprint names its keys for ever, so nothing here grows stale. */
class KeyCache {
  readonly #db: Db
  readonly #kept = new Map<string, PublicKeys>()

  constructor(db: Db) {
    this.#db = db
  }

  async find(physician: PhysicianId, fingerprint: Uint8Array): Promise<PublicKeys | null> {
    const name = `${physician} ${fingerprint.join(",")}`
    const known = this.#kept.get(name)
    if (known !== undefined) return known
    for (const { statement } of (await identitiesOf(this.#db, physician)).reverse()) {
      const { signKey, sealKey } = parseIdentity(statement)
      if (!equal(fingerprintOf(physician, signKey, sealKey), fingerprint)) continue
      if (this.#kept.size >= keptKeys) this.#kept.delete(this.#kept.keys().next().value!)
      this.#kept.set(name, { signKey, sealKey })
      return { signKey, sealKey }
    }
    return null
  }
}
