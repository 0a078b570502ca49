import type { PracticeId } from "../../encoding/ids.ts"
import type { Db } from "./connection.ts"
import type { GroupCommit } from "./group-commit.ts"
import type { Charge } from "./quota.ts"
import type { Tree } from "./tree.ts"

/** What the parts of the store share. */
export interface StoreContext {
  /** Sees what is committed; never waits for a batch. */
  readonly reader: Db
  readonly writer: GroupCommit
  readonly tree: Tree
  readonly practice: PracticeId
  /** Every write of a physician's is counted by it. */
  readonly charge: Charge
  /** How many restores this log came to be by. */
  readonly restores: number
  /** Milliseconds since 1970. */
  readonly now: () => number
}
