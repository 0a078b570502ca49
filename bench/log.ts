import { mkdtemp } from "node:fs/promises"
import { join } from "node:path"
import { startChild } from "./child.ts"
import { type Line, rounds } from "./lines.ts"
import type { AskLog, LogTimes } from "./log-child.ts"
import type { Stage } from "./stage.ts"

const leaves = 100_000

/** What the log costs once it is long: adding a leaf, and proving something of it. The peer has no log. */
export async function logLines(stage: Stage): Promise<Line[]> {
  const times: LogTimes[] = []
  for (let round = 0; round < rounds; round++) {
    const child = startChild<AskLog, LogTimes>(new URL("./log-child.ts", import.meta.url))
    times.push(await child.ask({ folder: await mkdtemp(join(stage.folder, "log-")), leaves }))
    child.stop()
  }
  const line = (name: string, unit: string, of: (one: LogTimes) => number): Line => ({
    name: `log-100000-${name}`,
    unit,
    better: "less",
    ours: times.map(of),
    peer: null,
  })
  return [
    line("append", "ms", (one) => one.append),
    line("append-256-together", "ms", (one) => one.appendTogether),
    line("inclusion", "ms", (one) => one.inclusion),
    line("inclusion-verify", "ms", (one) => one.verifyInclusion),
    line("inclusion-longest", "hashes", (one) => one.longestInclusion),
    line("consistency", "ms", (one) => one.consistency),
    line("consistency-verify", "ms", (one) => one.verifyConsistency),
    line("consistency-longest", "hashes", (one) => one.longestConsistency),
  ]
}
