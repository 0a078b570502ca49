import { equal } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import type { TreeHead } from "../proof/checkpoint.ts"
import { verifyConsistency } from "../proof/merkle.ts"
import { demandSuccessionCode, isOriginOf, sameLog } from "../proof/succession.ts"
import { practice as practiceSchema } from "../protocol/accounts.ts"
import { paths } from "../protocol/paths.ts"
import { fetchLine, keptSince } from "./line.ts"
import type { LogIdentity } from "./log.ts"
import { forked } from "./log-findings.ts"
import { folderOf, MonitorMemory, readLogState } from "./monitor-memory.ts"
import type { ClientStorage } from "./storage.ts"
import { fetchConsistency } from "./tiles.ts"
import { type Send, Transport } from "./transport.ts"

/** The log that a server goes on with after a restore, for those who watch it without an account. */
export interface RestoredLog {
  /** The one that was known. */
  readonly former: LogIdentity
  readonly log: LogIdentity
  /** What both have. */
  readonly kept: TreeHead
  /** The largest tree of the former one that whoever restored knew. */
  readonly known: TreeHead
  /** The new one's newest tree. */
  readonly tree: TreeHead
}

/** Finds how a server's log goes on from one that is known, and demands the code that whoever restored it tells.
 * @param known logs that are remembered. @throws TAMPERED_LOG where no succession leads from any of them; BAD_INPUT_RESTORE_CODE */
export async function restoredLog(send: Send, known: readonly LogIdentity[], typed: string): Promise<RestoredLog> {
  const transport = new Transport(send)
  const practice = await transport.call("GET", paths.practice, { reply: practiceSchema.reply })
  if (!isOriginOf(practice.practice, practice.origin)) throw new AppError("TAMPERED_LOG")
  const { line, tree } = await fetchLine(transport, practice)
  const from = line.findLastIndex((one) => known.some((log) => sameLog(log, one.from)))
  const newest = line.at(-1)
  const kept = keptSince(line.slice(from < 0 ? line.length : from), [])
  if (newest === undefined || kept === null)
    throw new AppError(
      "TAMPERED_LOG",
      "No restore leads from the log that this machine knows to the one that the server has.",
    )
  demandSuccessionCode(newest, typed)
  const { origin, logKey } = practice
  return { former: line[from]!.from, log: { origin, logKey }, kept, known: line[from]!.known, tree }
}

/** Goes on with a monitor's memory in the restored log: all that both logs have is kept, the rest of the former one's stays as evidence.
 * @throws TAMPERED_FORK where the leaves that this machine knows are not those that the new log keeps */
export async function followRestored(storage: ClientStorage, { former, log, kept, known }: RestoredLog): Promise<void> {
  await storage.exclusive(`${folderOf(former.origin)}/state`, async () => {
    if ((await readLogState(storage, log.origin)) !== null) return
    const before = await MonitorMemory.load(storage, former)
    const size = Math.min(before.size, kept.size)
    const root = before.rootAt(size)
    if (size === kept.size && !equal(root, kept.root)) throw forked(before.tree, kept)
    if (before.tree.size === known.size && !equal(before.tree.root, known.root)) throw forked(before.tree, known)
    const after = await MonitorMemory.load(storage, log)
    for (let index = 0; index < size; index++) after.add(before.leaf(index))
    await after.keep({ size, root }, "")
  })
}

/** Demands that what a witness has signed of a log, where that is no more than what was kept, is the beginning of the restored one.
 * @throws TAMPERED_FORK */
export async function demandContinues(send: Send, signed: TreeHead, { kept, known, tree }: RestoredLog): Promise<void> {
  if (signed.size > kept.size) {
    if (signed.size === known.size && !equal(signed.root, known.root)) throw forked(signed, known)
    return
  }
  const proof = await fetchConsistency(send, signed.size, tree.size)
  if (!verifyConsistency(signed.size, signed.root, tree.size, tree.root, proof)) throw forked(signed, tree)
}
