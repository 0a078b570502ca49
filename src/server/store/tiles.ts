import type { LeafRange } from "../../proof/merkle.ts"
import type { StoreContext } from "./context.ts"
import type { TileStore } from "./store.ts"

/** Stretches of the tree as they are stored. */
export function tileStore({ reader, tree }: StoreContext): TileStore {
  const covers = (level: number, { to }: LeafRange): boolean => to <= Math.floor(tree.state.size / 2 ** level)
  return {
    async nodeHashes(level, range) {
      if (!covers(level, range)) return null
      const rows = await reader
        .selectFrom("node")
        .select("hash")
        .where("level", "=", level)
        .where("idx", ">=", range.from)
        .where("idx", "<", range.to)
        .orderBy("idx")
        .execute()
      return rows.map((row) => row.hash)
    },

    async leafData(range) {
      if (!covers(0, range)) return null
      const rows = await reader
        .selectFrom("leaf")
        .select("data")
        .where("idx", ">=", range.from)
        .where("idx", "<", range.to)
        .orderBy("idx")
        .execute()
      return rows.map((row) => row.data)
    },
  }
}
