import { startChild } from "./child.ts"
import { type Line, rounds } from "./lines.ts"
import type { AskShare, Shared } from "./share-client.ts"
import type { Stage } from "./stage.ts"

const records = 1000

/** A thousand records shared with one colleague in one action, and accepted by them in another: per record. */
export async function shareLines(stage: Stage): Promise<Line[]> {
  const { url } = await stage.ours()
  const child = startChild<AskShare, Shared | null>(new URL("./share-client.ts", import.meta.url))
  const all: Shared[] = []
  try {
    await child.ask({ prepare: `sharing-${Date.now().toString(36)}`, url, records })
    for (let round = 0; round < rounds; round++) {
      const shared = await child.ask({ round })
      if (shared !== null) all.push(shared)
    }
  } finally {
    child.stop()
  }
  const line = (name: string, unit: string, of: (shared: Shared) => number): Line => ({
    name,
    unit,
    better: "less",
    ours: all.map(of),
    peer: null,
  })
  return [
    line("share-1000-client", "ms/record", ({ share }) => share.clientMs),
    line("share-1000", "ms/record", ({ share }) => share.ms),
    line("share-1000-bytes", "B/record", ({ share }) => share.bytes),
    line("accept-1000-client", "ms/record", ({ accept }) => accept.clientMs),
    line("accept-1000", "ms/record", ({ accept }) => accept.ms),
    line("accept-1000-bytes", "B/record", ({ accept }) => accept.bytes),
  ]
}
