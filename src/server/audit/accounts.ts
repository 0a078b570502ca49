import { equal } from "../../encoding/bytes.ts"
import type { PhysicianId } from "../../encoding/ids.ts"
import { type Identity, verifyIdentity } from "../../proof/identity.ts"
import type { Db } from "../store/connection.ts"
import { type Findings, rowName } from "./findings.ts"

const pageSize = 200

/** What the walk over the records needs of the physicians. */
export interface Accounts {
  readonly physicians: number
  readonly identities: number
  /** A physician's verified identities, the newest last. */
  identitiesOf(physician: PhysicianId): readonly Identity[]
}

/** Verifies every identity chain, and that ways to unlock and keyrings are the ones that identities and log name. */
export async function auditAccounts(db: Db, findings: Findings): Promise<Accounts> {
  const verified = new Map<PhysicianId, Identity[]>()
  let identities = 0
  for (let after = ""; ; ) {
    const page = await db
      .selectFrom("physician")
      .select(["id", "username", "keyring_number", "keyring_sha256"])
      .where("id", ">", after as PhysicianId)
      .orderBy("id")
      .limit(pageSize)
      .execute()
    for (const physician of page) {
      const chain = await auditIdentities(db, findings, physician.id, physician.username)
      verified.set(physician.id, chain)
      identities += chain.length
      await auditUnlocks(db, findings, physician.id, chain.at(-1))
      await auditKeyring(db, findings, physician)
    }
    const last = page.at(-1)
    if (last === undefined) break
    after = last.id
  }
  const { count } = await db
    .selectFrom("identity")
    .select((e) => e.fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow()
  if (findings.list.length === 0)
    findings.demand(Number(count) === identities, "identity", "there are identities of nobody")
  await auditLeaves(db, findings)
  await auditActs(db, findings)
  return { physicians: verified.size, identities, identitiesOf: (physician) => verified.get(physician) ?? [] }
}

/** Every leaf that speaks of an identity has that identity. */
async function auditLeaves(db: Db, findings: Findings): Promise<void> {
  const lost = await db
    .selectFrom("leaf")
    .leftJoin("identity", (join) =>
      join.onRef("identity.physician", "=", "leaf.subject").onRef("identity.seq", "=", "leaf.number"),
    )
    .select(["leaf.idx", "leaf.subject", "leaf.number"])
    .where("leaf.stream", "=", "identity")
    .where("identity.physician", "is", null)
    .execute()
  for (const { idx, subject, number } of lost) {
    const what = `the identity that it speaks of is missing: physician=${subject} seq=${number}`
    findings.tampered(rowName("leaf", { idx }), what)
  }
}

/** Every `act` leaf speaks of a record, or of a physician who did it. */
async function auditActs(db: Db, findings: Findings): Promise<void> {
  const wrong = await db
    .selectFrom("leaf")
    .leftJoin("physician", "physician.id", "leaf.subject")
    .leftJoin("record", "record.id", "leaf.subject")
    .select("leaf.idx")
    .where("leaf.stream", "=", "act")
    .where("record.id", "is", null)
    .where((e) =>
      e.or([
        e("physician.id", "is", null),
        e("leaf.actor", "!=", e.ref("leaf.subject")),
        e("leaf.type", "not in", ["sign-in", "recover", "end-session", "admin"]),
      ]),
    )
    .execute()
  for (const { idx } of wrong) findings.tampered(rowName("leaf", { idx }), "it is an act of nobody here")
}

async function auditIdentities(
  db: Db,
  findings: Findings,
  physician: PhysicianId,
  username: string,
): Promise<Identity[]> {
  const rows = await db
    .selectFrom("identity")
    .leftJoin("leaf", (join) =>
      join
        .onRef("leaf.subject", "=", "identity.physician")
        .on("leaf.stream", "=", "identity")
        .onRef("leaf.number", "=", "identity.seq"),
    )
    .select(["seq", "statement", "signature", "statement_hash", "actor", "type"])
    .where("physician", "=", physician)
    .orderBy("seq")
    .execute()
  const chain: Identity[] = []
  for (const row of rows) {
    const name = rowName("identity", { physician, seq: row.seq })
    const next = await findings.attempt(name, () => verifyIdentity(chain.at(-1) ?? null, row))
    if (next === null) return chain
    const fits = next.physician === physician && next.username === username && next.seq === row.seq
    findings.demand(fits, name, "it is not the identity of the physician that it lies under")
    const logged = row.type === "identity" && row.actor === physician && isSame(row.statement_hash, next.hash)
    findings.demand(logged, name, "the log does not have it")
    chain.push(next)
  }
  findings.demand(chain.length > 0, rowName("physician", { id: physician }), "it has no identity")
  return chain
}

async function auditUnlocks(
  db: Db,
  findings: Findings,
  physician: PhysicianId,
  identity: Identity | undefined,
): Promise<void> {
  const rows = await db
    .selectFrom("unlock")
    .select(["method", "generation", "token_sha256"])
    .where("physician", "=", physician)
    .execute()
  for (const row of rows) {
    const named = identity?.unlocks.find((unlock) => unlock.method === row.method)
    const fits = named?.generation === row.generation && isSame(row.token_sha256, named.hash)
    findings.demand(fits, rowName("unlock", { physician, method: row.method }), "the newest identity does not name it")
  }
  const all = identity?.unlocks.every((unlock) => rows.some((row) => row.method === unlock.method)) ?? true
  findings.demand(
    all,
    rowName("physician", { id: physician }),
    "a way to unlock that the newest identity names is missing",
  )
}

async function auditKeyring(
  db: Db,
  findings: Findings,
  physician: { id: PhysicianId; keyring_number: number; keyring_sha256: Uint8Array },
): Promise<void> {
  const newest = await db
    .selectFrom("leaf")
    .select(["number", "type", "actor", "statement_hash"])
    .where("subject", "=", physician.id)
    .where("stream", "=", "keyring")
    .orderBy("number", "desc")
    .limit(1)
    .executeTakeFirst()
  const fits =
    newest?.number === physician.keyring_number &&
    newest.type === "keyring" &&
    newest.actor === physician.id &&
    isSame(newest.statement_hash, physician.keyring_sha256)
  findings.demand(fits, rowName("physician", { id: physician.id }), "its keyring is not the log's newest")
}

function isSame(a: unknown, b: unknown): boolean {
  return a instanceof Uint8Array && b instanceof Uint8Array && equal(a, b)
}
