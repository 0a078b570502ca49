import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startChild } from "./child.ts"
import { type RunningServer, startOurs } from "./our-server.ts"
import { patient } from "./patients.ts"
import { findPython, seedPeer, startPeer } from "./peer.ts"
import type { SeedOurs } from "./seed-client.ts"

/** A peer that runs, or why there is none. */
export type PeerState = { readonly python: string; readonly server: RunningServer } | { readonly why: string }

/** Both servers of a run, in a folder that goes with it. Everything is made when it is first asked for. */
export interface Stage {
  readonly folder: string
  /** Tells who watches. */
  say(text: string): void
  ours(): Promise<RunningServer>
  peer(): Promise<PeerState>
  /** A physician on both sides who has so many records. @returns the username, the same on both */
  physician(records: number): Promise<string>
  /** Stops one side and starts it again on its folder. @returns milliseconds from its start to its first answer */
  restartOurs(): Promise<number>
  restartPeer(): Promise<number | null>
  close(): Promise<void>
}

export async function openStage(say: (text: string) => void): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), "healthcrypt-bench-"))
  const physicians = new Map<number, Promise<string>>()
  let ours: Promise<RunningServer> | null = null
  let peer: Promise<PeerState> | null = null

  const stage: Stage = {
    folder,
    say,
    ours: () => {
      ours ??= startOurs(folder)
      return ours
    },
    peer: () => {
      peer ??= openPeerServer(folder, say)
      return peer
    },
    physician(records) {
      const known = physicians.get(records)
      if (known !== undefined) return known
      const made = seed(stage, records, say)
      physicians.set(records, made)
      return made
    },
    async restartOurs() {
      await (await stage.ours()).stop()
      ours = startOurs(folder)
      return (await ours).startMs
    },
    async restartPeer() {
      const state = await stage.peer()
      if ("why" in state) return null
      await state.server.stop()
      const { python } = state
      peer = startPeer(python, folder).then((server) => ({ python, server }))
      const next = await peer
      return "server" in next ? next.server.startMs : null
    },
    async close() {
      await (await ours?.catch(() => null))?.stop()
      const state = (await peer?.catch(() => null)) ?? null
      if (state !== null && "server" in state) await state.server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
  return stage
}

async function openPeerServer(folder: string, say: (text: string) => void): Promise<PeerState> {
  const found = await findPython()
  if ("python" in found) return { python: found.python, server: await startPeer(found.python, folder) }
  say(`The peer is left out: ${found.why}`)
  return found
}

async function seed(stage: Stage, records: number, say: (text: string) => void): Promise<string> {
  const username = `with.${records}`
  const { url } = await stage.ours()
  const peer = await stage.peer()
  const from = performance.now()
  const child = startChild<SeedOurs, { records: number }>(new URL("./seed-client.ts", import.meta.url))
  const made = await child.ask({ url, username, records })
  child.stop()
  if (made.records !== records) throw new Error(`${made.records} records were made`)
  say(`${records} records written through our client in ${seconds(from)}`)
  if ("why" in peer) return username
  const patients = Array.from({ length: records }, (_, i) => patient(i))
  await seedPeer(peer.python, stage.folder, username, patients)
  return username
}

function seconds(from: number): string {
  return `${((performance.now() - from) / 1000).toFixed(1)} s`
}
