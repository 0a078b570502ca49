import type { Db } from "./connection.ts"
import type { GroupCommit } from "./group-commit.ts"
import type { Tree } from "./tree.ts"

/** What the parts of the store share. */
export interface StoreContext {
  /** Sees what is committed; never waits for a batch. */
  readonly reader: Db
  readonly writer: GroupCommit
  readonly tree: Tree
  /** Milliseconds since 1970. */
  readonly now: () => number
}
