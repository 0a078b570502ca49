import { equal } from "../../encoding/bytes.ts"
import type { PhysicianId } from "../../encoding/ids.ts"
import { type Identity, verifyIdentity } from "../../proof/identity.ts"
import type { Db } from "../store/connection.ts"
import type { PhysicianRow } from "../store/schema.ts"
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
  const usernames = new Set<string>()
  let identities = 0
  for (let after = ""; ; ) {
    const page = await db
      .selectFrom("physician")
      .select(["id", "username", "created", "keyring_number", "keyring_sha256", "keyring_statement_sha256"])
      .where("id", ">", after as PhysicianId)
      .orderBy("id")
      .limit(pageSize)
      .execute()
    for (const physician of page) {
      // An index that says so may be damaged.
      const isAlone = !usernames.has(physician.username)
      findings.demand(isAlone, rowName("physician", { id: physician.id }), "its username is another's as well")
      usernames.add(physician.username)
      const chain = await auditIdentities(db, findings, physician)
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
  await auditUsage(db, findings)
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

/** Every `act` leaf speaks of a record, or of a physician who did it; `admin` is the practice's, and speaks of itself or a physician.
 * Whoever is suspended has such a leaf, and no id is the practice's. */
async function auditActs(db: Db, findings: Findings): Promise<void> {
  const named = await db.selectFrom("meta").select("value").where("name", "=", "practice").executeTakeFirst()
  const practice = named?.value ?? ""
  const wrong = await db
    .selectFrom("leaf")
    .leftJoin("physician", "physician.id", "leaf.subject")
    .leftJoin("record", "record.id", "leaf.subject")
    .select("leaf.idx")
    .where("leaf.stream", "=", "act")
    .where("record.id", "is", null)
    .where((e) =>
      e.not(
        e.or([
          e.and([
            e("physician.id", "is not", null),
            e("leaf.actor", "=", e.ref("leaf.subject")),
            e("leaf.type", "in", ["sign-in", "recover", "end-session"]),
          ]),
          e.and([
            e.or([e("physician.id", "is not", null), e("leaf.subject", "=", practice)]),
            e("leaf.actor", "=", practice),
            e("leaf.type", "=", "admin"),
          ]),
        ]),
      ),
    )
    .execute()
  for (const { idx } of wrong) findings.tampered(rowName("leaf", { idx }), "it is an act of nobody here")
  await auditSuspended(db, findings, practice)
}

/** What quotas count are notes of the server's own, and of bytes and hours nothing else speaks; records are counted again, and there are
 * no more codes than the log knows invitations. */
async function auditUsage(db: Db, findings: Findings): Promise<void> {
  const rows = await db
    .selectFrom("physician")
    .leftJoin("usage", "usage.physician", "physician.id")
    .select((e) => [
      "physician.id",
      "usage.records",
      e
        .selectFrom("entry")
        .select((entry) => entry.fn.countAll<number>().as("count"))
        .whereRef("entry.author", "=", "physician.id")
        .where("entry.seq", "=", 0)
        .as("opened"),
    ])
    .execute()
  for (const { id, records, opened } of rows)
    findings.demand(
      records === Number(opened),
      rowName("usage", { physician: id }),
      "it counts other records than there are",
    )
  const codes = db.selectFrom("invite").select((e) => e.fn.countAll<number>().as("count"))
  const made = db
    .selectFrom("leaf")
    .innerJoin("meta", "meta.value", "leaf.subject")
    .select((e) => e.fn.countAll<number>().as("count"))
    .where("meta.name", "=", "practice")
    .where("leaf.type", "=", "admin")
  const [there, logged] = [await codes.executeTakeFirstOrThrow(), await made.executeTakeFirstOrThrow()]
  findings.demand(Number(there.count) <= Number(logged.count), "invite", "there are more codes than were made")
}

/** Suspensions are the server's word; but each that began or ended is in the log, and they take turns. */
async function auditSuspended(db: Db, findings: Findings, practice: string): Promise<void> {
  const rows = await db
    .selectFrom("physician")
    .select((e) => [
      "physician.id",
      "physician.suspended",
      e
        .selectFrom("leaf")
        .select((leaf) => leaf.fn.countAll<number>().as("count"))
        .whereRef("leaf.subject", "=", "physician.id")
        .where("leaf.stream", "=", "act")
        .where("leaf.type", "=", "admin")
        .as("acts"),
      e
        .selectFrom("leaf")
        .select((leaf) => leaf.fn.max("leaf.time").as("time"))
        .whereRef("leaf.subject", "=", "physician.id")
        .where("leaf.stream", "=", "act")
        .where("leaf.type", "=", "admin")
        .as("newest"),
    ])
    .execute()
  for (const { id, suspended, acts, newest } of rows) {
    const name = rowName("physician", { id })
    const odd = Number(acts) % 2 === 1
    findings.demand((suspended !== null) === odd, name, "the log says otherwise of whether it is suspended")
    if (suspended !== null && odd)
      findings.demand(newest === suspended, name, "the log names another time for its suspension")
    findings.demand(id !== practice, name, "its id is the practice's")
  }
}

async function auditIdentities(
  db: Db,
  findings: Findings,
  { id: physician, username, created }: Pick<PhysicianRow, "id" | "username" | "created">,
): Promise<Identity[]> {
  const rows = await db
    .selectFrom("identity")
    .leftJoin("leaf", (join) =>
      join
        .onRef("leaf.subject", "=", "identity.physician")
        .on("leaf.stream", "=", "identity")
        .onRef("leaf.number", "=", "identity.seq"),
    )
    .select(["seq", "statement", "signature", "statement_hash", "actor", "type", "time"])
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
    if (row.seq === 0) {
      const same = row.time === created
      findings.demand(same, rowName("physician", { id: physician }), "the log has another time of its registration")
    }
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
  physician: Pick<PhysicianRow, "id" | "keyring_number" | "keyring_sha256" | "keyring_statement_sha256">,
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
    isSame(newest.statement_hash, physician.keyring_statement_sha256 ?? physician.keyring_sha256)
  findings.demand(fits, rowName("physician", { id: physician.id }), "its keyring is not the log's newest")
}

function isSame(a: unknown, b: unknown): boolean {
  return a instanceof Uint8Array && b instanceof Uint8Array && equal(a, b)
}
