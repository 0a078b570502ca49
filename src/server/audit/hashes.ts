import { sql } from "kysely"
import { sha256 } from "#sha256"
import { equal } from "../../encoding/bytes.ts"
import { AppError } from "../../errors.ts"
import type { Db } from "../store/connection.ts"
import type { Schema } from "../store/schema.ts"
import { type Findings, rowName } from "./findings.ts"

type Table = keyof Schema

/** How a row is named in a finding. */
const keys = {
  meta: ["name"],
  physician: ["id"],
  invite: ["code_hash"],
  usage: ["physician"],
  identity: ["physician", "seq"],
  unlock: ["physician", "method"],
  session: ["id"],
  read_mark: ["session", "record"],
  record: ["id"],
  member: ["record", "physician"],
  entry: ["record", "seq"],
  self_grant: ["physician", "record", "epoch"],
  sealed_grant: ["record", "seq", "recipient"],
  replaced_self_grant: ["physician", "record", "epoch", "token_sha256"],
  account_statement: ["physician", "statement_sha256"],
  replaced_keyring: ["physician", "number"],
  replaced_profile: ["physician", "number"],
  segment: ["id"],
  leaf: ["idx"],
  node: ["level", "idx"],
  succession: ["number"],
} as const satisfies Record<Table, readonly string[]>

/** Binary columns without a SHA-256 beside them: chains, signatures and the tree hold these, and the rest of the audit recomputes them. */
const held: ReadonlySet<string> = new Set([
  "identity.signature",
  "entry.signature",
  "physician.keyring_signature",
  "physician.profile_signature",
  "replaced_keyring.signature",
  "replaced_profile.signature",
  "segment.signature",
  "account_statement.signature",
  "self_grant.signed",
  "replaced_self_grant.signed",
  "succession.signature",
  "record.head_hash",
  "leaf.data",
  "leaf.salt",
  "leaf.statement_hash",
  "node.hash",
])

interface Pair {
  readonly value: string
  readonly hash: string
}

/** Recomputes the SHA-256 that lies beside everything sealed or signed. The columns are read from the database itself, so that no
 * new one is forgotten. @returns how many values were hashed
 * @throws UNAVAILABLE when there is a binary column that nothing checks */
export async function auditHashes(db: Db, findings: Findings): Promise<number> {
  let hashed = 0
  for (const { name, columns } of await db.introspection.getTables()) {
    const pairs = pairsOf(
      name,
      columns.filter((column) => /^(blob|bytea)$/i.test(column.dataType)).map((column) => column.name),
    )
    if (pairs.length === 0) continue
    const rows = db
      .selectFrom(sql<Record<string, unknown>>`${sql.table(name)}`.as("row"))
      .selectAll()
      .stream()
    for await (const row of rows) {
      for (const pair of pairs) {
        if (row[pair.value] !== null) hashed++
        if (!fits(row[pair.value], row[pair.hash]))
          findings.tampered(nameOf(name, row), `${pair.value} differs from its SHA-256`)
      }
    }
  }
  return hashed
}

function pairsOf(table: string, binary: readonly string[]): Pair[] {
  const pairs: Pair[] = []
  for (const name of binary) {
    if (binary.includes(`${name}_sha256`)) pairs.push({ value: name, hash: `${name}_sha256` })
    else if (!(name.endsWith("_sha256") && binary.includes(name.slice(0, -7))) && !held.has(`${table}.${name}`)) {
      const advice = `This database has a column that this version of Healthcrypt cannot check: ${table}.${name}. Update Healthcrypt.`
      throw new AppError("UNAVAILABLE", advice)
    }
  }
  return pairs
}

function fits(value: unknown, hash: unknown): boolean {
  if (value === null && hash === null) return true
  return value instanceof Uint8Array && hash instanceof Uint8Array && equal(sha256(value), hash)
}

function nameOf(table: string, row: Readonly<Record<string, unknown>>): string {
  const names: readonly string[] = table in keys ? keys[table as Table] : []
  return rowName(table, Object.fromEntries(names.map((name) => [name, row[name]])))
}
