import { equal } from "../../encoding/bytes.ts"
import type { Id, PhysicianId } from "../../encoding/ids.ts"
import {
  type AccountItem,
  type AccountKind,
  type VerifiedAccount,
  verifyAccount,
} from "../../proof/account-statement.ts"
import type { Db } from "../store/connection.ts"
import type { Accounts } from "./accounts.ts"
import { type Findings, rowName } from "./findings.ts"

/** What is stored of one statement; all three are null of what version 0.2 stored. */
interface Columns {
  readonly statement: Uint8Array | null
  readonly statement_sha256: Uint8Array | null
  readonly signature: Uint8Array | null
}

interface Sealed extends Columns {
  readonly physician: PhysicianId
  readonly number: number
  readonly token_sha256: Uint8Array
}

/** Verifies every account statement, and that each sealed thing of an account is the one that its physician signed for. What version 0.2
 * stored has none: a keyring's leaf binds its token, and nothing binds the rest. */
export async function auditAccountStatements(db: Db, findings: Findings, accounts: Accounts): Promise<number> {
  const verify = verifier(findings, accounts)
  let verified = 0
  const sealed = async (row: string, what: AccountKind, subject: Id, columns: Sealed) => {
    const account = await verify(row, what, columns.physician, columns)
    if (account === null) return
    verified++
    findings.demand(isItem(account.items[0], subject, columns), row, "it is not what its physician signed for")
  }
  for (const part of ["keyring", "profile"] as const) {
    const newest = db
      .selectFrom("physician")
      .select(["id as physician", `${part}_number as number`, `${part}_sha256 as token_sha256`])
      .select([`${part}_statement as statement`, `${part}_statement_sha256 as statement_sha256`])
      .select(`${part}_signature as signature`)
      .stream()
    for await (const row of newest) {
      const name = rowName("physician", { id: row.physician })
      await sealed(name, part, row.physician, row)
      if (part === "profile") demandFirst(findings, name, row)
    }
    const replaced = db
      .selectFrom(`replaced_${part}`)
      .leftJoin("leaf", (join) =>
        join
          .onRef("leaf.subject", "=", `replaced_${part}.physician`)
          .on("leaf.stream", "=", "keyring")
          .onRef("leaf.number", "=", `replaced_${part}.number`),
      )
      .select([`replaced_${part}.physician`, `replaced_${part}.number`, `replaced_${part}.token_sha256`])
      .select([`replaced_${part}.statement`, `replaced_${part}.statement_sha256`, `replaced_${part}.signature`])
      .select("leaf.statement_hash")
      .stream()
    for await (const row of replaced) {
      const name = rowName(`replaced_${part}`, { physician: row.physician, number: row.number })
      await sealed(name, part, row.physician, row)
      if (part === "profile") demandFirst(findings, name, row)
      else {
        const logged = isSame(row.statement_hash, row.statement_sha256 ?? row.token_sha256)
        findings.demand(logged, name, "the log does not have it")
      }
    }
  }
  for await (const row of db
    .selectFrom("segment")
    .select(["id", "physician", "token_sha256", "statement", "statement_sha256", "signature"])
    .stream())
    await sealed(rowName("segment", { id: row.id }), "segments", row.id, { ...row, number: 0 })
  return verified + (await auditSelfGrants(db, findings, verify))
}

/** Self-grants are listed in the statement that they name. */
async function auditSelfGrants(db: Db, findings: Findings, verify: Verify): Promise<number> {
  const statements = new Map<string, VerifiedAccount>()
  for await (const row of db.selectFrom("account_statement").selectAll().stream()) {
    const name = rowName("account_statement", { physician: row.physician, statement_sha256: row.statement_sha256 })
    const account = await verify(name, "self-grants", row.physician, row)
    if (account !== null) statements.set(`${row.physician} ${hex(row.statement_sha256)}`, account)
  }
  const demand = (name: string, row: GrantRow) => {
    if (row.signed === null) return
    const { items = [] } = statements.get(`${row.physician} ${hex(row.signed)}`) ?? {}
    const listed = items.some((item) => isItem(item, row.record, { ...row, number: row.epoch }))
    findings.demand(listed, name, "it is not what its physician signed for")
  }
  for (const table of ["self_grant", "replaced_self_grant"] as const)
    for await (const row of db
      .selectFrom(table)
      .select(["physician", "record", "epoch", "token_sha256", "signed"])
      .stream()) {
      const { physician, record, epoch } = row
      const hash = table === "self_grant" ? {} : { token_sha256: row.token_sha256 }
      demand(rowName(table, { physician, record, epoch, ...hash }), row)
    }
  return statements.size
}

interface GrantRow {
  readonly physician: PhysicianId
  readonly record: Id
  readonly epoch: number
  readonly token_sha256: Uint8Array
  readonly signed: Uint8Array | null
}

type Verify = (
  row: string,
  what: AccountKind,
  physician: PhysicianId,
  columns: Columns,
) => Promise<VerifiedAccount | null>

function verifier(findings: Findings, accounts: Accounts): Verify {
  return async (row, what, physician, { statement, statement_sha256, signature }) => {
    if (statement === null && statement_sha256 === null && signature === null) return null
    const identities = accounts.identitiesOf(physician)
    return findings.attempt(row, () =>
      verifyAccount(
        { statement: statement ?? new Uint8Array(0), signature: signature ?? new Uint8Array(0) },
        physician,
        what,
        (seq) => identities[seq]?.signKey ?? null,
      ),
    )
  }
}

/** Version 0.2 had no second profile. */
function demandFirst(findings: Findings, name: string, { statement, number }: Sealed): void {
  findings.demand(statement !== null || number === 0, name, "nobody signed for its number")
}

function isItem(
  item: AccountItem | undefined,
  subject: Id,
  { number, token_sha256 }: Pick<Sealed, "number" | "token_sha256">,
): boolean {
  return item?.subject === subject && item.number === number && isSame(item.hash, token_sha256)
}

function isSame(a: unknown, b: unknown): boolean {
  return a instanceof Uint8Array && b instanceof Uint8Array && equal(a, b)
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex")
}
