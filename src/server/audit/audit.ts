import type { PracticeId } from "../../encoding/ids.ts"
import { openSqlite } from "../store/connection.ts"
import { auditAccountStatements } from "./account-statements.ts"
import { auditAccounts } from "./accounts.ts"
import { type Count, type Finding, newFindings } from "./findings.ts"
import { auditHashes } from "./hashes.ts"
import { auditIntegrity } from "./integrity.ts"
import { auditCheckpoint, auditTree } from "./log.ts"
import { auditRecords } from "./records.ts"
import { auditSchema } from "./schema.ts"
import { auditSessions } from "./sessions.ts"
import { auditSegments, readTimes } from "./times.ts"

export interface Audit {
  readonly practice: PracticeId | null
  readonly counts: readonly Count[]
  /** Empty when everything is as it must be. */
  readonly findings: readonly Finding[]
}

/** Checks everything in a database that can be checked without opening anything, as it stood at one moment; whoever writes
 * meanwhile is not in the way.
 * @param logKey the log's public key, 32 B; `null` leaves the checkpoint's signature unchecked
 * @throws UNAVAILABLE when the database is of another version; what SQLite throws when it is not one */
export async function auditDatabase(file: string, logKey: Uint8Array | null): Promise<Audit> {
  const db = openSqlite(file, "read")
  try {
    return await db.transaction().execute(async (snapshot) => {
      const findings = newFindings()
      // Nothing is selected from what somebody else has made.
      if (!(await auditSchema(snapshot, findings))) return { practice: null, counts: [], findings: findings.list }
      await auditIntegrity(snapshot, findings)
      const hashes = await auditHashes(snapshot, findings)
      const tree = await auditTree(snapshot, findings)
      const practice = await auditCheckpoint(snapshot, findings, tree, logKey)
      const accounts = await auditAccounts(snapshot, findings)
      const statements = await auditAccountStatements(snapshot, findings, accounts)
      const times = await readTimes(snapshot)
      await auditSessions(snapshot, findings, times)
      await auditSegments(snapshot, findings, times)
      const { records, entries } = await auditRecords(snapshot, findings, accounts, tree)
      const counts = [
        { name: "physicians", count: accounts.physicians },
        { name: "identities", count: accounts.identities },
        { name: "account statements", count: statements },
        { name: "records", count: records },
        { name: "entries", count: entries },
        { name: "stored hashes", count: hashes },
        { name: "log leaves", count: tree.size },
        { name: "log nodes", count: tree.nodes },
      ]
      return { practice, counts, findings: findings.list }
    })
  } finally {
    await db.destroy()
  }
}
