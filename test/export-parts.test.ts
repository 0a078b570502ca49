import { randomBytes } from "node:crypto"
import { readdir, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it, vi } from "vitest"
import { importFile } from "../src/client/imports.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { partName } from "../src/clinical/export.ts"
import { utf8 } from "../src/encoding/bytes.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { type Desk, desk } from "./cli.ts"
import { physicians } from "./colleagues.ts"
import { openPractice } from "./practice.ts"

vi.setConfig({ testTimeout: 600_000 })

const practice = await openPractice()

/** A file of one patient with documents. @param data of each as base64 */
function fileOf(tag: string, documents: number, data: (i: number) => string): string {
  const patient = {
    resourceType: "Patient",
    id: "big-1",
    name: [{ family: "Big", given: ["Bo"] }],
    birthDate: "1970-01-01",
  }
  const all = Array.from({ length: documents }, (_, i) => ({
    resourceType: "DocumentReference",
    id: `${tag}-${i}`,
    status: "current",
    subject: { reference: "Patient/big-1" },
    content: [{ attachment: { contentType: "text/plain", data: data(i) } }],
  }))
  const entry = [patient, ...all].map((resource) => ({ resource }))
  return JSON.stringify({ resourceType: "Bundle", type: "collection", entry })
}

const put = async (name: string, text: string) => {
  const path = join(practice.folder, name)
  await writeFile(path, text)
  return path
}

async function physician(username: string): Promise<Desk> {
  const made = desk(practice.server.url, practice.folder, username)
  await made.register("Ada", "Byron")
  return made
}

/** The resources of bundles as the text that stands in them, the repeated Patient once. */
async function textsIn(...paths: readonly string[]): Promise<string[]> {
  const texts = new Set<string>()
  for (const path of paths)
    for (const line of (await readFile(path, "utf8")).split("\n")) {
      const [, text] = /^ {4}\{"fullUrl": "[^"]*", "resource": (.*)\},?$/.exec(line) ?? []
      if (text !== undefined) texts.add(text)
    }
  return [...texts]
}

const idOf = async (one: Desk) => {
  const rows = await one.list()
  expect(rows).toHaveLength(1)
  return rows[0]!.id
}

describe("a record that is more than one file can bring in again", () => {
  it.each<[string, number, () => string[]]>([
    [
      "of more than 64 MiB",
      5,
      () =>
        ["a", "b", "c"].map((tag) =>
          fileOf(tag, 25, (i) => Buffer.alloc(700_000, `page ${tag}${i}`).toString("base64")),
        ),
    ],
    [
      "that does not pack into an entry",
      2,
      () => ["a", "b", "c"].map((tag) => fileOf(tag, 6, () => randomBytes(1_000_000).toString("base64"))),
    ],
  ])("%s is exported in parts, and comes in as one, to the letter", async (what, parts, files) => {
    const tag = what.replaceAll(/\W/g, "")
    const ada = await physician(`ada-${tag}`.toLowerCase())
    const made = await Promise.all(files().map((text, i) => put(`${tag}${i}.json`, text)))
    await ada.must(["import", ...made])
    await Promise.all(made.map((path) => rm(path)))
    const id = await idOf(ada)

    const out = join(practice.folder, `${tag}.out.json`)
    const names = Array.from({ length: parts }, (_, at) => partName(out, at))
    const isSmall = parts === 2
    if (isSmall) {
      // Nothing is written where one of the names is taken.
      await put(`${tag}.out-2.json`, "taken")
      expect(await ada.run(["export", id, "-o", out])).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("--force"),
      })
      expect((await readdir(practice.folder)).filter((name) => name.startsWith(`${tag}.out`))).toEqual([
        `${tag}.out-2.json`,
      ])
      expect(await ada.run(["export", id, "-o", "-"])).toMatchObject({
        code: 1,
        stdout: "",
        stderr: expect.stringContaining(`${parts} files`),
      })
    }

    const exported = await ada.run(["export", id, "-o", out, "--force"])
    expect(exported).toMatchObject({ code: 0, stdout: "" })
    for (const name of names) expect(exported.stderr).toContain(name)
    const found = (await readdir(practice.folder)).filter((name) => name.startsWith(`${tag}.out`))
    expect(found.map((name) => join(practice.folder, name)).sort()).toEqual([...names].sort())

    const bea = await physician(`bea-${tag}`.toLowerCase())
    expect(await bea.run(["import", ...names])).toMatchObject({ code: 0, stderr: "" })
    const again = join(practice.folder, `${tag}.again.json`)
    await bea.must(["export", await idOf(bea), "-o", again])
    const [texts, back] = [
      await textsIn(...names),
      await textsIn(...names.map((name) => name.replace(".out", ".again"))),
    ]
    expect(texts.length).toBeGreaterThan(18)
    expect(back.length).toBe(texts.length)
    expect(back.every((text, i) => text === texts[i])).toBe(true)

    // Whoever made a full record gets out of it, too.
    if (!isSmall) return
    expect((await ada.must(["import", ...names])).match(/nothing new/g)).toHaveLength(2)
    await ada.must(["import", "--new", ...names])
    expect(await ada.list()).toHaveLength(2)
  })

  it("what goes beyond one physician's budget is refused, named, and comes into a further record", async () => {
    const [ada] = (await physicians(practice, "ada-beyond")) as [Workspace]
    const heavy = (tag: string) =>
      fileOf(tag, 9, () => "").replaceAll('"contentType":"text/plain"', `"x":[${"0,".repeat(480_000)}0]`)
    const take = (name: string, among: readonly RecordId[] | null) =>
      importFile(ada, `${name}.json`, utf8(heavy(name)), () => {}, { aborted: false }, among)
    expect(await take("a", null)).toMatchObject({ outcome: "added", added: 10 })
    const beyond = await take("b", null)
    expect(beyond).toMatchObject({ file: "b.json", outcome: "refused", code: "BAD_INPUT_SIZE", records: [] })
    expect(beyond.message).toMatch(/128 MiB.*--new/)
    expect(await take("b", [])).toMatchObject({ outcome: "added", added: 10, apart: 0 })
  })
})
