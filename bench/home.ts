import { mkdtemp } from "node:fs/promises"
import { join } from "node:path"
import { startChild } from "./child.ts"
import { openBrowser, ourHome, peerHome } from "./chromium.ts"
import type { AskHome, HomeTimes } from "./home-client.ts"
import { type Line, rounds } from "./lines.ts"
import { openPeer } from "./peer-client.ts"
import type { Stage } from "./stage.ts"

/** The command line's client in fresh processes, beside the peer's page to its last byte; and search over what it opened. */
export async function homeInNode(stage: Stage, records: number): Promise<Line[]> {
  const username = await stage.physician(records)
  const { url } = await stage.ours()
  const state = await stage.peer()
  const peer = "server" in state ? await openPeer(state.server.url, username, false) : null
  const ours: HomeTimes[] = []
  const theirs: number[] = []
  for (let round = 0; round < rounds; round++) {
    const folder = await mkdtemp(join(stage.folder, "home-"))
    const child = startChild<AskHome, HomeTimes>(new URL("./home-client.ts", import.meta.url))
    ours.push(await child.ask({ url, username, records, folder }))
    child.stop()
    if (peer === null) continue
    const from = performance.now()
    const page = await peer.get("/")
    theirs.push(performance.now() - from)
    demandRows(page, records)
  }
  peer?.close()
  const name = `home-${records}-node`
  const line = { unit: "ms", better: "less" } as const
  return [
    { ...line, name, ours: ours.map((one) => one.fromKeyMs), peer: peer === null ? null : theirs },
    { ...line, name: `${name}-from-password`, ours: ours.map((one) => one.fromPasswordMs), peer: null },
    { ...line, name: `search-${records}-p50`, ours: ours.map((one) => one.search50Ms), peer: null },
    { ...line, name: `search-${records}-p99`, ours: ours.map((one) => one.search99Ms), peer: null },
  ]
}

/** The page in fresh profiles of Chromium, beside the peer's page in the same Chromium. */
export async function homeInChromium(stage: Stage, records: number): Promise<Line[]> {
  const username = await stage.physician(records)
  const { url } = await stage.ours()
  const state = await stage.peer()
  const browser = await openBrowser(stage.say)
  if (browser === null) return []
  const fromKey = { ours: [] as number[], peer: [] as number[] }
  const fromPassword = { ours: [] as number[], peer: [] as number[] }
  try {
    for (let round = 0; round < rounds; round++) {
      const ours = await ourHome(browser, url, username, records)
      fromKey.ours.push(ours.fromKeyMs)
      fromPassword.ours.push(ours.fromPasswordMs)
      if ("why" in state) continue
      const theirs = await peerHome(browser, state.server.url, username, records)
      fromKey.peer.push(theirs.fromKeyMs)
      fromPassword.peer.push(theirs.fromPasswordMs)
    }
  } finally {
    await browser.close()
  }
  const line = { unit: "ms", better: "less" } as const
  const peer = (values: number[]) => ("why" in state ? null : values)
  const name = `home-${records}-chromium`
  return [
    { ...line, name, ours: fromKey.ours, peer: peer(fromKey.peer) },
    { ...line, name: `${name}-from-password`, ours: fromPassword.ours, peer: peer(fromPassword.peer) },
  ]
}

function demandRows(page: string, records: number): void {
  const rows = page.split("<tr>").length - 1
  if (rows !== records) throw new Error(`the peer shows ${rows} records`)
}
