import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { AxeBuilder } from "@axe-core/playwright"
import type { Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { register } from "../../src/client/account.ts"
import { importFile } from "../../src/client/imports.ts"
import { acceptInvitations } from "../../src/client/invitations.ts"
import { share } from "../../src/client/sharing.ts"
import { encodeBody } from "../../src/clinical/body.ts"
import { encodeSummary, summaryOf } from "../../src/clinical/summary.ts"
import type { RecordId } from "../../src/encoding/ids.ts"
import { entryPlace, summaryPlace } from "../../src/vault/places.ts"
import { seal } from "../../src/vault/seal.ts"
import { appendRaw } from "../append-raw.ts"
import { openClient, surroundings } from "../client.ts"
import { many, meet } from "../colleagues.ts"
import { type Clinic, openClinic, password, signIn } from "./page.ts"

/** Turns everything behind it, until something closes it; nothing does. What is read as "Call" is "llaC". */
const turned = "Mallory \u202ellaC\u2067\u200f\u200e\u061c(5"
const hebrew = "כהן 7"

describe("names that are written in another direction, or turn what stands around them", () => {
  let clinic: Clinic
  let folder: string
  let page: Page
  const ids: RecordId[] = []

  beforeAll(async () => {
    clinic = await openClinic()
    folder = await mkdtemp(join(tmpdir(), "healthcrypt-directions-"))
    const enter = async (username: string) => {
      const home = join(folder, username)
      const { around, close } = surroundings(clinic.url, home)
      const account = {
        username,
        firstName: username === "ada" ? "דוד" : "Bea",
        lastName: username === "ada" ? "לוי" : "Beta",
      }
      await (await register(around, { ...account, password })).enter()
      close()
      return openClient(clinic.url, home, username, password)
    }
    const ada = await enter("ada")
    const bea = await enter("bea")
    await meet(ada, bea)
    Object.defineProperty(bea.session, "fullName", { value: turned })
    for (const [at, text] of [turned, hebrew, turned].entries()) {
      const bytes = new TextEncoder().encode(JSON.stringify(bundleOf(text, at)))
      const { records } = await importFile(bea, "file.json", bytes, () => {}, { aborted: false })
      ids.push(records[0]!.id)
      await share(bea, [records[0]!.id], "ada", "owner", null, many)
    }
    await acceptInvitations(ada, ids.slice(0, 2), many)
    for (const [at, id] of ids.slice(0, 2).entries()) await writeNote(bea, id, at === 0 ? turned : hebrew)
    for (const client of [ada, bea]) client.close()
    page = (await clinic.visitor()).page
    await signIn(page, clinic.url, "ada", "\u2068דוד לוי\u2069")
  }, 240_000)
  afterAll(async () => {
    await clinic.close()
    await rm(folder, { recursive: true, force: true })
  })

  const places: readonly [name: string, path: () => string, ready: RegExp][] = [
    ["home", () => "/", /2 patients/],
    ["a record", () => `/records/${ids[0]}`, /Allergies/],
    ["a record in Hebrew", () => `/records/${ids[1]}`, /Allergies/],
    ["history", () => `/records/${ids[0]}/history`, /created the record/],
    ["history in Hebrew", () => `/records/${ids[1]}/history`, /created the record/],
    ["sharing", () => `/records/${ids[0]}/sharing`, /owner/],
    ["activity", () => `/records/${ids[0]}/activity`, /events/],
    ["edit", () => `/records/${ids[0]}/edit`, /Date of birth/],
    ["invitations", () => "/invitations", /Accept/],
    ["colleagues", () => "/colleagues", /bea/],
    ["a colleague", () => "/colleagues/bea", /safety number/i],
  ]

  it.each(places)("%s: whatever stands beside them keeps its order", { timeout: 120_000 }, async (_, path, ready) => {
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 800 })
      await page.goto(clinic.url + path())
      await page.getByText(ready).first().waitFor()
      expect(await page.evaluate(outOfOrder), `${width} px`).toEqual([])
      expect(await page.evaluate(steering), `${width} px`).toEqual([])
      const { violations } = await new AxeBuilder({ page }).analyze()
      expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([])
    }
  })

  it("shows the names themselves, those in Hebrew from right to left", async () => {
    await page.setViewportSize({ width: 1280, height: 800 })
    await page.goto(clinic.url)
    const names = page.getByRole("table").getByRole("link")
    await names.first().waitFor()
    expect((await names.allInnerTexts()).sort()).toEqual(["Mallory llaC(5, Mallory llaC(5", "\u2068כהן 7, כהן 7\u2069"])
    // The second half of the name lies left of the first.
    const [first, second] = await names.filter({ hasText: "כהן" }).evaluate((link) => {
      const node = document.createTreeWalker(link, NodeFilter.SHOW_TEXT).nextNode() as Text
      const leftOf = (at: number) => {
        const range = document.createRange()
        range.setStart(node, at)
        range.setEnd(node, at + 1)
        return range.getBoundingClientRect().left
      }
      return [leftOf(node.data.indexOf("כ")), leftOf(node.data.lastIndexOf("כ"))]
    })
    expect(second).toBeLessThan(first!)
  })

  it("gives a form the very text, and copies none of the page's own marks", async () => {
    await page.goto(`${clinic.url}/records/${ids[0]}/edit`)
    expect(await page.getByLabel("Last name").inputValue()).toBe(turned)
    await page.goto(clinic.url)
    await page.getByRole("link", { name: "כהן" }).waitFor()
    const copied = await page.evaluate(() => {
      const data = new DataTransfer()
      document.getSelection()?.selectAllChildren(document.body)
      document.body.dispatchEvent(new ClipboardEvent("copy", { clipboardData: data, bubbles: true, cancelable: true }))
      return data.getData("text/plain")
    })
    expect(copied).toContain("כהן 7, כהן 7")
    expect(copied).not.toMatch(/[\u2066-\u2069]/)
  })
})

/** Words of Latin letters and digits of which the characters, or which as a whole, stand left of what comes before them in the same line.
 * Runs in the page. */
function outOfOrder(): string[] {
  const found: string[] = []
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  let before: { block: Element | null; top: number; right: number; word: string } | null = null
  for (let node = walker.nextNode() as Text | null; node !== null; node = walker.nextNode() as Text | null) {
    const holder = node.parentElement!
    if (
      !holder.checkVisibility({ checkVisibilityCSS: true }) ||
      /^(script|style|option|title|textarea)$/i.test(holder.tagName)
    )
      continue
    let block: Element | null = holder
    while (block !== null && getComputedStyle(block).display.startsWith("inline")) block = block.parentElement
    // A number in a text from right to left stands where that text has it.
    const islands = Array.from(node.data.matchAll(/\u2068[^\u2069]*\u2069/g), ({ index, 0: text }) => [
      index,
      index + text.length,
    ])
    for (const match of node.data.matchAll(/[A-Za-z0-9]+/g)) {
      if (islands.some(([start, end]) => match.index > start! && match.index < end!)) continue
      const boxes = Array.from(match[0], (_, at) => {
        const range = document.createRange()
        range.setStart(node!, match.index + at)
        range.setEnd(node!, match.index + at + 1)
        return range.getBoundingClientRect()
      }).filter(({ width }) => width > 0)
      const [first] = boxes
      const last = boxes.at(-1)
      if (first === undefined || last === undefined) continue
      if (boxes.some(({ left, top }, at) => at > 0 && top === boxes[at - 1]!.top && left < boxes[at - 1]!.left))
        found.push(match[0])
      if (before !== null && before.block === block && before.top === first.top && first.left < before.right - 1)
        found.push(`${before.word} before ${match[0]}`)
      before = { block, top: last.top, right: last.right, word: match[0] }
    }
  }
  return found
}

/** Texts, labels and titles with a character that steers, but for islands that are closed. Runs in the page. */
function steering(): string[] {
  const texts: string[] = [document.title]
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  // A field is filled with the very text, and is an island of the browser's.
  for (let node = walker.nextNode() as Text | null; node !== null; node = walker.nextNode() as Text | null)
    if (node.parentElement?.tagName !== "TEXTAREA") texts.push(node.data)
  for (const element of document.querySelectorAll("*"))
    for (const name of ["aria-label", "aria-description", "title", "placeholder", "alt", "download"])
      texts.push(element.getAttribute(name) ?? "")
  const isSteering = (text: string) =>
    /[\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/.test(
      text.replace(/\u2068[^\u2066-\u2069]*\u2069/g, ""),
    )
  return texts.filter(isSteering).map((text) => JSON.stringify(text))
}

async function writeNote(bea: Awaited<ReturnType<typeof openClient>>, id: RecordId, text: string): Promise<void> {
  const record = await bea.records.open(id)
  const seq = record.head.seq + 1
  const key = record.keys[0]!
  const body = encodeBody({ by: text, changes: [], note: `${text}\n${text}` })
  const summary = encodeSummary(summaryOf(record.chart))
  const author = bea.session.physician
  await appendRaw(
    bea,
    record,
    await seal(key, entryPlace(id, 0, seq, author), body),
    await seal(key, summaryPlace(id, 0, seq), summary),
  )
}

function bundleOf(text: string, at: number) {
  const patient = `1111111${at}-1111-4111-8111-111111111111`
  const subject = { reference: `Patient/${patient}` }
  const id = (n: number) => `2222222${n}-2222-4222-8222-22222222222${at}`
  const code = { text }
  const resources = [
    {
      resourceType: "Patient",
      id: patient,
      name: [{ family: text, given: [text] }],
      birthDate: "1961-07-09",
      gender: "female",
      identifier: [{ type: { text: "Medical record" }, value: text }],
      address: [{ text }],
    },
    { resourceType: "Condition", id: id(1), subject, code, recordedDate: "2020-01-02" },
    { resourceType: "AllergyIntolerance", id: id(2), patient: subject, code },
    { resourceType: "AllergyIntolerance", id: id(3), patient: subject, code: { text: "Latex 9" } },
    {
      resourceType: "Observation",
      id: id(4),
      subject,
      status: "final",
      code,
      valueString: text,
      effectiveDateTime: "2021-02-03",
    },
  ]
  return { resourceType: "Bundle", type: "collection", entry: resources.map((resource) => ({ resource })) }
}
