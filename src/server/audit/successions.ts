import { equal } from "../../encoding/bytes.ts"
import type { PracticeId } from "../../encoding/ids.ts"
import { type SignedSuccession, successionLeaf } from "../../proof/succession.ts"
import type { Db } from "../store/connection.ts"
import { originOf, storedSuccessions } from "../store/successions.ts"
import { type Findings, rowName } from "./findings.ts"
import type { Tree } from "./log.ts"

/** Compares what is said of restores with the tree: what was kept, and the leaf that binds each. @returns what the log is called */
export async function auditSuccessions(
  db: Db,
  findings: Findings,
  practice: PracticeId,
  tree: Pick<Tree, "rootAt">,
  logKey: Uint8Array | null,
): Promise<string> {
  const all = (await findings.attempt("succession", () => storedSuccessions(db))) ?? []
  const leaves = await db
    .selectFrom("leaf")
    .select(["idx", "subject", "number", "type", "actor", "statement_hash"])
    .where("stream", "=", "succession")
    .orderBy("idx")
    .execute()
  findings.demand(leaves.length === all.length, "succession", `${leaves.length} leaves say so, and ${all.length} rows`)
  for (const [i, one] of all.entries()) {
    const row = rowName("succession", { number: one.number })
    findings.demand(one.practice === practice, row, "it is another practice's")
    findings.demand(equal(one.kept.root, tree.rootAt(one.kept.size) ?? new Uint8Array(0)), row, "it kept other leaves")
    const leaf = leaves[i]
    findings.demand(
      leaf !== undefined && binds(leaf, one),
      row,
      "the leaf that binds it is missing, or says something else",
    )
  }
  const newest = all.at(-1)
  if (newest !== undefined && logKey !== null)
    findings.demand(
      equal(newest.to.logKey, logKey),
      rowName("succession", { number: newest.number }),
      "the log has another key",
    )
  return originOf(practice, all)
}

function binds(
  leaf: { idx: number; subject: string; number: number; type: string; actor: string; statement_hash: Uint8Array },
  succession: SignedSuccession,
): boolean {
  const { subject, number, type, actor, statementHash } = successionLeaf(succession)
  return (
    leaf.idx === succession.kept.size &&
    leaf.subject === subject &&
    leaf.number === number &&
    leaf.type === type &&
    leaf.actor === actor &&
    equal(leaf.statement_hash, statementHash)
  )
}
