import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { append } from "../src/client/append.ts"
import { createPatient } from "../src/client/edits.ts"
import { viewRecord } from "../src/client/record-views.ts"
import { unshare } from "../src/client/sharing.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { encodeBody } from "../src/clinical/body.ts"
import { encodeCbor } from "../src/encoding/cbor.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { Desk } from "./cli.ts"
import { brady, edit, give, meet, physicians, refused } from "./colleagues.ts"
import { runModestly } from "./measured.ts"
import { openPractice, password } from "./practice.ts"
import { worstRecord } from "./worst-record.ts"

const practice = await openPractice()

/** Appends whatever bytes as an entry's content. */
async function write(work: Workspace, id: RecordId, body: Uint8Array): Promise<void> {
  await work.roster.sync()
  const { head, keys } = await work.records.open(id)
  const contents = { body, summary: { ...work.roster.rows.get(id)! }, compress: true }
  await append(work.session, id, head, keys[head.epoch]!, { kind: "write" }, contents)
}

async function shared(tag: string) {
  const [ada, mal] = (await physicians(practice, `ada-${tag}`, `mal-${tag}`)) as [Workspace, Workspace]
  await meet(ada, mal)
  const { id } = await createPatient(ada, brady)
  await give(ada, mal, id, "writer")
  return { ada, mal, id }
}

/** A list of so many empty ones, as deterministic CBOR. */
function emptyItems(count: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(5 + count).fill(0x80)
  bytes[0] = 0x9a
  new DataView(bytes.buffer).setUint32(1, count)
  return bytes
}

/** A content of one resource, whatever its text. */
function rawContent(key: string, text: string): Uint8Array<ArrayBuffer> {
  return encodeCbor({ by: "Mal", changes: [[key, text]] })
}

describe("an entry of few bytes and very many things", () => {
  it.each<[string, string, () => Uint8Array<ArrayBuffer>]>([
    ["60 million empty items", "items", () => emptyItems(60_000_000)],
    [
      "[[0],[0],…] in a valid Observation",
      "lists",
      () => rawContent("Observation/1", `{"resourceType":"Observation","x":[${"[0],".repeat(15_000_000)}[0]]}`),
    ],
    [
      "an object with millions of members",
      "members",
      () => {
        const names = Array.from({ length: 1_500_000 }, (_, i) => `"${i}":0`)
        return rawContent("Observation/1", `{"resourceType":"Observation","x":{${names.join(",")}}}`)
      },
    ],
  ])(
    "is unreadable, named, and the rest is shown and written, within a gibibyte: %s",
    async (_, tag, make) => {
      const { ada, mal, id } = await shared(tag)
      await edit(mal, id, "Asthma")
      await write(mal, id, make())
      // Whatever it does to a program, it does to one of its own.
      const home = join(practice.folder, `desk-${tag}`)
      const desk = new Desk({ server: practice.server.url, username: ada.session.username, password, home })
      const show = async () => JSON.parse((await runModestly(desk, ["records", "show", id, "--json"])).stdout)
      expect(await show()).toMatchObject({
        diagnosis: "Asthma",
        unreadable: [{ author: mal.session.username, newer: false }],
      })
      await runModestly(desk, ["records", "edit", id], { input: { diagnosis: "Gout" } })
      expect((await show()).diagnosis).toBe("Gout")
      const history = (await runModestly(desk, ["records", "history", id])).stdout
      for (const diagnosis of ["Hypertension", "Asthma", "Gout"]) expect(history).toContain(diagnosis)
      expect(history.match(/cannot be read/g)).toHaveLength(1)
    },
    300_000,
  )
})

it("a newer entry is named and holds up writing, until its author is removed", async () => {
  const { ada, mal, id } = await shared("newer")
  await write(mal, id, encodeCbor({ v: 2, by: "Mal", changes: [] }))
  await ada.roster.sync()
  const record = await ada.records.open(id)
  const view = await viewRecord(ada, record, record.head.seq)
  expect(view.unreadable).toEqual([expect.objectContaining({ author: "mal-newer", newer: true })])
  expect(view.lastName).toBe("Kuhlman")
  await expect(edit(ada, id, "Asthma")).rejects.toEqual(refused("UNAVAILABLE_UPDATE"))
  expect((await ada.records.open(id)).head.seq).toBe(record.head.seq)
  await unshare(ada, id, mal.session.physician)
  await edit(ada, id, "Asthma")
})

it("who has spent their budget spends nobody else's", async () => {
  const { ada, mal, id } = await shared("spent")
  const text = (n: number) => `{"resourceType":"Basic","id":"${n}","x":"${"x".repeat(60_000_000)}"}`
  for (let n = 0; n < 3; n++) await write(mal, id, encodeBody({ by: "Mal", changes: [[`Basic/${n % 2}`, text(n)]] }))
  await write(mal, id, encodeBody({ by: "Mal", changes: [["Basic/2", text(2)]] }))
  await write(mal, id, encodeBody({ by: "Mal", changes: [["Basic/3", '{"resourceType":"Basic"}']] }))
  await ada.roster.sync()
  await edit(ada, id, "Asthma")
  const second = await practice.open(ada.session.username, "ada's second")
  const record = await second.records.open(id)
  const unreadable = record.steps.filter((step) => step.unreadable).map(({ entry }) => entry.author)
  expect(unreadable).toEqual([mal.session.physician, mal.session.physician])
  expect((await viewRecord(second, record, record.head.seq)).diagnoses.map(({ text: one }) => one)).toContain("Asthma")
}, 300_000)

it("changes of few bytes end a budget at the seventh entry of 59,000, and what cannot be read after the third", async () => {
  const plan = [Array(9).fill("tiny"), Array(5).fill("broken")]
  const { id, ada, writers } = await worstRecord(practice, plan)
  const { steps, spent, chart } = await ada.records.open(id)
  const readable = writers.map(({ session: { physician } }) =>
    steps.filter(({ entry }) => entry.author === physician).map(({ unreadable }) => !unreadable),
  )
  expect(readable).toEqual([[...Array(6).fill(true), ...Array(3).fill(false)], Array(5).fill(false)])
  for (const { session } of writers) expect(spent.get(session.physician)).toBe(201_326_592)
  expect(chart.resources.size).toBeGreaterThan(59_000)
  await edit(ada, id, "Asthma")
}, 300_000)

it("a server that damages a body spends nobody's budget: its honest bytes are readable again", async () => {
  const { ada, mal, id } = await shared("damaged")
  const large = JSON.stringify({ resourceType: "Basic", x: randomBytes(300_000).toString("base64") })
  await write(mal, id, encodeBody({ by: "Mal", changes: [["Basic/1", large]] }))
  const device = await ada.roster.sync().then(() => practice.open(ada.session.username, "ada's third"))
  const spent = (await device.records.open(id)).spent.get(mal.session.physician)
  let damages = true
  const lied = await practice.open(ada.session.username, "ada's fourth", async (request, send) => {
    const answer = await send(request)
    if (!damages || !request.path.endsWith("/body")) return answer
    return { ...answer, body: answer.body.with(100, answer.body[100]! ^ 1) }
  })
  await expect(lied.records.open(id)).rejects.toEqual(refused("TAMPERED_TOKEN"))
  damages = false
  const again = await practice.open(ada.session.username, "ada's fourth")
  const record = await again.records.open(id)
  expect(record.steps.filter((step) => step.unreadable)).toEqual([])
  expect(record.spent.get(mal.session.physician)).toEqual(spent)
  expect(record.chart.resources.get("Basic/1")).toBe(large)
})
