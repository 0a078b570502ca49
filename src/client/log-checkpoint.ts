import { encodeBase64 } from "../encoding/base64.ts"
import { demandPrefix, demandSuccessor, openCheckpoint } from "./log-findings.ts"
import { encodeLogKey, type LogTarget } from "./log-target.ts"
import { readLogState } from "./monitor-memory.ts"
import type { ClientStorage } from "./storage.ts"
import { fetchCheckpoint } from "./tiles.ts"
import type { Send } from "./transport.ts"

/** A verified checkpoint, in plain values. */
export interface CheckpointView {
  readonly origin: string
  readonly size: number
  /** base64 */
  readonly root: string
  /** hexadecimal */
  readonly logKey: string
  readonly trust: LogTarget["trust"]
  /** How many leaves this machine remembers, all of which the checkpoint contains; null where it never followed the log. */
  readonly remembered: number | null
  /** As it came, signatures included. */
  readonly note: string
}

/** Fetches the newest checkpoint, verifies its signature, and demands that it contains what a monitor on this machine remembers.
 * Remembers nothing itself. @throws TAMPERED_…, with a finding; UNAVAILABLE_… */
export async function viewCheckpoint(send: Send, storage: ClientStorage, target: LogTarget): Promise<CheckpointView> {
  const { log, trust } = target
  const state = await readLogState(storage, log.origin)
  const note = await fetchCheckpoint(send)
  const tree = await openCheckpoint(note, log)
  if (state !== null) {
    demandSuccessor(state, tree)
    await demandPrefix(send, state, tree)
  }
  return {
    origin: tree.origin,
    size: tree.size,
    root: encodeBase64(tree.root),
    logKey: encodeLogKey(log.logKey),
    trust,
    remembered: state?.size ?? null,
    note,
  }
}
