import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { describe, expect, it } from "vitest"
import { createPatient, savePatient } from "../src/client/edits.ts"
import { HomeList } from "../src/client/home.ts"
import { matches, queryOf } from "../src/client/search.ts"
import { type Workspace, workspaceOf } from "../src/client/workspace.ts"
import { newId } from "../src/encoding/ids.ts"
import { paths } from "../src/protocol/paths.ts"
import { openPractice } from "./practice.ts"

const today = "2026-11-23"
const everything = { sort: "name", descending: false, archived: false, offset: 0, limit: 100_000 } as const

const practice = await openPractice()

function patient(n: number, diagnosis = "Hypertension") {
  return { firstName: `First${n}`, lastName: `Último${n}`, birthDate: "1961-07-09", diagnosis }
}

async function addPatients(work: Workspace, from: number, count: number): Promise<void> {
  for (let n = from; n < from + count; n++) await createPatient(work, patient(n))
}

function listed(work: Workspace, search = ""): string[] {
  return new HomeList(work).page({ ...everything, search }, true, today).rows.map((row) => row.firstName)
}

/** What of a row does not depend on where it was read from. */
function rowsOf(work: Workspace) {
  return [...work.roster.rows.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
}

describe("the roster", () => {
  it("folds into segments, and another device opens the same from them", async () => {
    const work = workspaceOf(await practice.register("fold"))
    await addPatients(work, 0, 650)
    const { segments, complete } = work.session.keyring.roster
    expect(segments.length).toBeGreaterThan(1)
    expect(segments.every((segment) => segment.records <= 500)).toBe(true)
    expect(complete).toBeGreaterThan(300)
    const other = await practice.open("fold", "elsewhere")
    expect(rowsOf(other)).toEqual(rowsOf(work))
    expect(listed(other, "ultimo649")).toEqual(["First649"])
  })

  it("is rebuilt from self-grants and summaries when segments are gone", async () => {
    const before = await practice.open("fold")
    const database = new DatabaseSync(join(practice.folder, "data", "healthcrypt.db"))
    database.exec("DELETE FROM segment")
    database.close()
    const after = await practice.open("fold", "a third device")
    expect(rowsOf(after)).toEqual(rowsOf(before))
    await after.roster.fold(true)
    expect((await practice.open("fold", "a fourth device")).roster.rows.size).toBe(650)
  })

  it("packs everything anew once most of what is packed was overtaken", async () => {
    const work = workspaceOf(await practice.register("compact"))
    await addPatients(work, 0, 320)
    const ids = [...work.roster.rows.keys()]
    for (let round = 0; round < 5; round++)
      for (const id of ids)
        await savePatient(work, id, round, { ...patient(round, `Round ${round}`), firstName: `R${round}` })
    const packed = work.session.keyring.roster.segments.reduce((sum, segment) => sum + segment.records, 0)
    expect(packed).toBeLessThanOrEqual(320 * 1.5 + 500)
    const other = await practice.open("compact", "elsewhere")
    expect(rowsOf(other)).toEqual(rowsOf(work))
    expect(listed(other).every((name) => name === "R4")).toBe(true)
  })

  it("packs its records although another device binds meanwhile", async () => {
    await practice.register("meanwhile")
    const other = await practice.open("meanwhile", "meanwhile-2")
    let isFirst = true
    const work = await practice.open("meanwhile", "meanwhile-3", async (request, send) => {
      if (request.method === "PUT" && request.path === paths.keyring && isFirst) {
        isFirst = false
        await createPatient(other, patient(1))
        await other.roster.bind()
      }
      return send(request)
    })
    await addPatients(work, 2, 3)
    await work.roster.fold(true)
    expect(isFirst).toBe(false)
    expect(work.session.keyring.roster.segments.map(({ records }) => records)).toEqual([4])
  })

  it("lets one of two devices win that fold at once, and neither loses a record", async () => {
    const one = workspaceOf(await practice.register("race", "race-1"))
    const two = await practice.open("race", "race-2")
    await addPatients(one, 0, 40)
    await two.roster.sync()
    await addPatients(two, 100, 40)
    await Promise.all([one.roster.fold(true), two.roster.fold(true)])
    await Promise.all([one.roster.sync(), two.roster.sync()])
    const third = await practice.open("race", "race-3")
    expect(third.roster.rows.size).toBe(80)
    expect(rowsOf(one)).toEqual(rowsOf(third))
    expect(rowsOf(two)).toEqual(rowsOf(third))
    // The loser's segments are in no keyring, and go with the first one after an hour.
    practice.pass(2 * 3_600_000)
    const { session } = await practice.open("race", "race-4")
    await session.updateKeyring((keyring) => keyring)
    const database = new DatabaseSync(join(practice.folder, "data", "healthcrypt.db"), { readOnly: true })
    const stored = database.prepare("SELECT count(*) AS n FROM segment WHERE physician = ?").get(session.physician)
    database.close()
    expect(stored?.n).toBe(session.keyring.roster.segments.length)
  })

  it("shows a record that the server withholds as refused, not as gone", async () => {
    const work = workspaceOf(await practice.register("withheld"))
    await addPatients(work, 0, 3)
    const [id] = [...work.roster.rows.keys()]
    await work.session.pins.save()
    const database = new DatabaseSync(join(practice.folder, "data", "healthcrypt.db"))
    database.prepare("DELETE FROM member WHERE record = ?").run(id!)
    database.close()
    const again = await practice.open("withheld")
    expect([...again.roster.refused].map(([record, { code }]) => [record, code])).toEqual([[id, "TAMPERED_ROLLBACK"]])
  })
})

describe("the home list", () => {
  it("finds by name, birth date and diagnosis, without accents, as a plain scan does", async () => {
    const work = await practice.open("fold")
    await createPatient(work, {
      firstName: "Agustín",
      lastName: "Fonseca",
      birthDate: "1994-02-01",
      diagnosis: "Type 2 diabetes",
    })
    expect(listed(work, "agustin")).toEqual(["Agustín"])
    expect(listed(work, "FONS agu")).toEqual(["Agustín"])
    expect(listed(work, "1.2.1994")).toEqual(["Agustín"])
    for (const typed of ["1994-02", "1994-02-", "1994-02-0", "1994-02-01"])
      expect(listed(work, typed)).toEqual(["Agustín"])
    expect(listed(work, "diab")).toEqual(["Agustín"])
    expect(listed(work, "nobody")).toEqual([])
    for (const search of ["f", "ultimo1", "hyper first12", "1961", "2 dia"]) {
      const scanned = rowsOf(work).filter((row) => matches(row, queryOf(search)))
      expect(listed(work, search).sort()).toEqual(scanned.map((row) => row.firstName).sort())
    }
  })

  it("finds ä, ö, ü and ß however they are typed", async () => {
    const work = await practice.open("fold")
    const home = new HomeList(work)
    const people = [
      ["Jörg", "Müller"],
      ["Joerg", "Weiß"],
      ["Päivi", "Mueller"],
    ] as const
    // The first half lies in the index, the last one beside it.
    for (const [firstName, lastName] of people.slice(0, 2))
      await createPatient(work, { ...patient(1), firstName, lastName })
    home.prepare()
    for (const [firstName, lastName] of people.slice(2))
      await createPatient(work, { ...patient(1), firstName, lastName })
    const find = (search: string) =>
      home
        .page({ ...everything, search }, true, today)
        .rows.map((row) => row.firstName)
        .sort()
    for (const typed of ["muell", "Müll", "mu\u0308ll", "MÜLLER"]) expect(find(typed)).toEqual(["Jörg", "Päivi"])
    expect(find("mull")).toEqual(["Jörg"])
    expect(find("joerg")).toEqual(["Joerg", "Jörg"])
    expect(find("jorg")).toEqual(["Jörg"])
    for (const typed of ["weiß", "weiss", "weis"]) expect(find(typed)).toEqual(["Joerg"])
    expect(find("paeivi muell")).toEqual(["Päivi"])
  })

  it("finds either day of a date that may be two", async () => {
    const work = await practice.open("fold")
    await createPatient(work, { ...patient(1), firstName: "Dmy", birthDate: "1930-04-03" })
    await createPatient(work, { ...patient(1), firstName: "Mdy", birthDate: "1930-03-04" })
    expect(listed(work, "3/4/1930").sort()).toEqual(["Dmy", "Mdy"])
    expect(listed(work, "3.4.1930")).toEqual(["Dmy"])
  })

  it("searches what a physician is alone in before what others may write in, and says of how many not every diagnosis is searched", async () => {
    const work = await practice.open("fold")
    const [row] = rowsOf(work)
    let next = 36 ** 3
    const text = () => Array.from({ length: 200 }, () => (next++).toString(36)).join(" ")
    for (let n = 0; n < 120; n++) {
      const id = newId<"record">()
      const diagnoses = Array.from({ length: 10 }, text)
      work.roster.rows.set(id, { ...row!, id, lastName: `Filled${n}`, diagnoses, chain: "a colleague's, too" })
    }
    const mine = {
      ...row!,
      id: newId<"record">(),
      lastName: "Mine",
      diagnoses: [...Array.from({ length: 10 }, text), "Last of all"],
    }
    work.roster.rows.set(mine.id, mine)
    const home = new HomeList(work)
    home.prepare()
    const find = (search: string) => home.page({ ...everything, search, limit: 0 }, true, today)
    expect(find("last of all mine").matching).toBe(1)
    expect(find("filled119").matching).toBe(1)
    expect(find("").partlySearched).toBe(0)
    const { partlySearched } = find("filled")
    expect(partlySearched).toBeGreaterThan(0)
    expect(partlySearched).toBeLessThanOrEqual(120)
  })

  it("is there without its index, and only a search says that there is none", async () => {
    const work = await practice.open("fold")
    const [row] = rowsOf(work)
    const spoilt = Object.defineProperty([], Symbol.iterator, {
      value: () => {
        throw new RangeError("Map maximum size exceeded")
      },
    })
    work.roster.rows.set(row!.id, { ...row!, diagnoses: spoilt })
    const home = new HomeList(work)
    home.prepare()
    expect(home.page({ ...everything, search: "" }, true, today).rows).toHaveLength(work.roster.rows.size)
    expect(() => home.page({ ...everything, search: "first" }, true, today)).toThrow(RangeError)
  })

  it("sees what changed after its index was built", async () => {
    const work = await practice.open("fold")
    const home = new HomeList(work)
    home.prepare()
    const find = (search: string) => home.page({ ...everything, search }, true, today).matching
    const made = await createPatient(work, { ...patient(9000), diagnosis: "Asthma" })
    expect(find("asthma")).toBe(1)
    await savePatient(work, made.id, made.saved ? made.seq : 0, { ...patient(9000), diagnosis: "Gout" })
    expect([find("asthma"), find("gout")]).toEqual([0, 1])
  })
})
