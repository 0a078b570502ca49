import { readFile } from "node:fs/promises"
import { setTimeout as sleep } from "node:timers/promises"
import { type Line, rounds } from "./lines.ts"
import type { Stage } from "./stage.ts"

const settleMs = 300

/** From the start of a server on a folder that holds 10,000 records to its first answer. */
export async function startLine(stage: Stage, records: number): Promise<Line[]> {
  await stage.physician(records)
  const ours: number[] = []
  const peer: number[] = []
  for (let round = 0; round < rounds; round++) {
    ours.push(await stage.restartOurs())
    const theirs = await stage.restartPeer()
    if (theirs !== null) peer.push(theirs)
  }
  return [{ name: "start", unit: "ms", better: "less", ours, peer: peer.length > 0 ? peer : null }]
}

/** What the servers hold in memory after all that was asked of them so far. Of the peer's processes each counts its own pages and its
 * share of those that they have in common. */
export async function memoryLine(stage: Stage, records: number): Promise<Line[]> {
  await stage.physician(records)
  if (process.platform !== "linux") return []
  const { pid } = await stage.ours()
  const state = await stage.peer()
  const ours: number[] = []
  const peer: number[] = []
  for (let round = 0; round < rounds; round++) {
    await sleep(settleMs)
    ours.push(await kibibytes(pid, "status", "VmRSS"))
    if ("why" in state) continue
    const pids = [state.server.pid, ...(await childrenOf(state.server.pid))]
    const shares = await Promise.all(pids.map((one) => kibibytes(one, "smaps_rollup", "Pss")))
    peer.push(shares.reduce((sum, share) => sum + share, 0))
  }
  const mebibytes = (values: number[]) => values.map((value) => value / 1024)
  const line = { name: "memory", unit: "MiB", better: "less" } as const
  return [{ ...line, ours: mebibytes(ours), peer: peer.length > 0 ? mebibytes(peer) : null }]
}

async function kibibytes(pid: number, file: "status" | "smaps_rollup", field: string): Promise<number> {
  const text = await readFile(`/proc/${pid}/${file}`, "utf8")
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(text)?.[1])
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")
  return text.split(" ").filter(Boolean).map(Number)
}
