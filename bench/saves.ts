import { type Child, startChild } from "./child.ts"
import { type Line, rounds } from "./lines.ts"
import type { AskSaves, Saved } from "./saves-client.ts"
import type { Stage } from "./stage.ts"

/** All clients of a side share so many processes: with one core for them and one for the server, two were slower for either side. */
const processes = 1
const sliceMs = 2500

/** Saves a second by clients on records of their own, the two sides taking turns. */
export async function saves(stage: Stage, clients: readonly number[]): Promise<Line[]> {
  const { url } = await stage.ours()
  const state = await stage.peer()
  const most = Math.max(...clients)
  const ours = await open("ours", url, most)
  const theirs = "server" in state ? await open("peer", state.server.url, most) : null
  const lines: Line[] = []
  for (const count of clients) {
    const line = { ours: [] as number[], peer: [] as number[] }
    await ours.save(count)
    await theirs?.save(count)
    for (let round = 0; round < rounds; round++) {
      line.ours.push(await ours.save(count))
      if (theirs !== null) line.peer.push(await theirs.save(count))
    }
    lines.push({
      name: `saves-${count}`,
      unit: "saves/s",
      better: "more",
      ours: line.ours,
      peer: theirs === null ? null : line.peer,
    })
  }
  ours.close()
  theirs?.close()
  return lines
}

interface Side {
  /** @returns saves a second */
  save(clients: number): Promise<number>
  close(): void
}

async function open(prepare: "ours" | "peer", url: string, clients: number): Promise<Side> {
  const file = new URL("./saves-client.ts", import.meta.url)
  const names = `saver-${Date.now().toString(36)}`
  const each = Math.ceil(clients / processes)
  const children: Child<AskSaves, Saved>[] = []
  for (let i = 0; i < processes; i++) {
    const child = startChild<AskSaves, Saved>(file)
    await child.ask({ prepare, url, clients: each, names: `${names}-${i}` })
    children.push(child)
  }
  return {
    async save(count) {
      const shares = children.map((child, i) => ({
        child,
        clients: Math.floor((count + processes - 1 - i) / processes),
      }))
      const working = shares.filter((share) => share.clients > 0)
      const done = await Promise.all(working.map(({ child, clients }) => child.ask({ save: clients, ms: sliceMs })))
      return done.reduce((sum, { saves, ms }) => sum + (saves * 1000) / ms, 0)
    },
    close: () => {
      for (const child of children) child.stop()
    },
  }
}
