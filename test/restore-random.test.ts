import { expect, test } from "vitest"
import { whatWentBack } from "../src/client/after-restore.ts"
import { createPatient, savePatient } from "../src/client/edits.ts"
import { acceptInvitations, listInvitations } from "../src/client/invitations.ts"
import { keysOf } from "../src/client/roster-row.ts"
import { lostAsText, sendAgain } from "../src/client/send-again.ts"
import { confirmMembers, share, unshare, viewSharing } from "../src/client/sharing.ts"
import { settleUnheard } from "../src/client/unheard.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import { encodeHex } from "../src/encoding/bytes.ts"
import type { PhysicianId, RecordId } from "../src/encoding/ids.ts"
import { AppError } from "../src/errors.ts"
import { brady, many, meet } from "./colleagues.ts"
import { randomOf } from "./random.ts"
import { password, Restoring } from "./restoring.ts"

/** Random histories of a practice whose server is put back now and then. RESTORE_SEEDS=200-240 runs others, each with a history of its own. */
const [first, last = first] = (process.env.RESTORE_SEEDS ?? "").split("-").map(Number)
const seeds = first ? Array.from({ length: last! - first + 1 }, (_, i) => first + i) : [16, 21, 28]
const steps = 18
const loss = 0.25
const devices = ["ada/desk", "ada/laptop", "bob/desk", "cyd/desk"] as const
type Device = (typeof devices)[number]
type Username = "ada" | "bob" | "cyd"
const userOf = (device: Device) => device.split("/")[0] as Username

/** One diagnosis that somebody wrote: "text 7." */
interface Written {
  readonly number: number
  readonly device: Device
  /** Whether the server said that it has it. */
  heard: boolean
  /** Whether Cyd was no member of its record by then. */
  withoutCyd: boolean
}

class History {
  readonly told: string[] = []
  readonly problems: string[] = []
  readonly #practice: Restoring
  readonly #random: () => number
  readonly #written: Written[] = []
  readonly #backups: string[] = []
  /** Records that Cyd was given again after they had been without them: their keys say nothing any more. */
  readonly #givenAgain = new Set<RecordId>()
  /** Every key that Cyd's device had. */
  readonly #cydsKeys = new Set<string>()
  readonly #ids = new Map<Username, PhysicianId>()
  #code = ""
  #drops: "request" | "answer" | null = null

  constructor(practice: Restoring, seed: number) {
    this.#practice = practice
    this.#random = randomOf(seed * 7919)
  }

  async begin(): Promise<void> {
    for (const username of ["ada", "bob", "cyd"]) await this.#practice.register(username)
    const works = {
      ada: await this.#open("ada/desk"),
      bob: await this.#open("bob/desk"),
      cyd: await this.#open("cyd/desk"),
    }
    for (const username of ["ada", "bob", "cyd"] as const) this.#ids.set(username, works[username].session.physician)
    await meet(works.ada, works.bob)
    await meet(works.ada, works.cyd)
    await meet(works.bob, works.cyd)
    const { id } = await createPatient(works.ada, { ...brady, diagnosis: "text 0." })
    for (const username of ["bob", "cyd"] as const) {
      await share(works.ada, [id], username, this.#oneOf(["writer", "owner"]), null, many)
      await acceptInvitations(works[username], [id], many)
    }
    for (const work of Object.values(works)) await this.#putAway(work)
    await this.#putAway(await this.#open("ada/laptop"))
    await this.#backUp()
  }

  async step(): Promise<void> {
    const what = this.#random()
    if (what < 0.66) await this.#visit(this.#oneOf(devices))
    else if (what < 0.82) await this.#backUp()
    else {
      const backup = this.#random() < 0.6 ? this.#backups.at(-1)! : this.#oneOf(this.#backups)
      this.told.push(`restore ${backup}`)
      this.#code = (await this.#practice.restore(backup)).code
    }
  }

  /** Lets every device come by twice, and looks at what there is. */
  async end(): Promise<void> {
    for (const device of devices) await this.#visit(device, "looks")
    const left = new Map<Device, string>()
    for (const device of devices) left.set(device, (await lostAsText(await this.#visit(device, "looks"))) ?? "")
    const found = new Set<number>()
    const looked = new Set<RecordId>()
    for (const device of ["ada/desk", "bob/desk", "cyd/desk"] as const) {
      const work = await this.#open(device)
      for (const id of work.roster.rows.keys()) {
        if (looked.has(id)) continue
        looked.add(id)
        for (const number of await this.#textsIn(work, id)) found.add(number)
      }
    }
    for (const { number, device, heard } of this.#written)
      if (heard && !found.has(number) && !left.get(device)!.includes(`text ${number}.`))
        this.problems.push(`text ${number} of ${device} is lost`)
  }

  async #textsIn(work: Workspace, id: RecordId): Promise<number[]> {
    const opened = await work.records.open(id)
    const numbers: number[] = []
    for (const { entry, unreadable } of opened.steps) {
      if (entry.body === undefined || unreadable) continue
      const { diagnosis } = formOf(await work.records.chartAt(opened, entry.seq))
      const number = Number(/^text (\d+)\.$/.exec(diagnosis)?.[1] ?? Number.NaN)
      if (Number.isNaN(number)) continue
      numbers.push(number)
      const isSecret = this.#written.find((one) => one.number === number)?.withoutCyd && !this.#givenAgain.has(id)
      const key = opened.keys[entry.epoch]
      if (isSecret && key !== undefined && this.#cydsKeys.has(encodeHex(key)))
        this.problems.push(`text ${number} was written without cyd, and opens with a key of theirs`)
    }
    const isInOrder = numbers.every((number, i) => i === 0 || number > numbers[i - 1]!)
    if (!isInOrder) this.problems.push(`texts ${numbers} stand in one record`)
    return numbers
  }

  /** Somebody signs in, does what a page does by itself and asks for, and something of their own. */
  async #visit(device: Device, how?: "looks"): Promise<Workspace> {
    this.told.push(device)
    const work = await this.#open(device)
    await whatWentBack(work)
    if (work.session.restoration?.confirmed === false) await work.session.confirmRestore(this.#code)
    await this.#look(work)
    const { invitations } = await listInvitations(work)
    if (invitations.length > 0) {
      const ids = invitations.map(({ id }) => id)
      await acceptInvitations(work, ids, many)
      await this.#look(work)
    }
    for (const { id, chain } of [...work.roster.rows.values()]) {
      if (chain === "") continue
      const view = await viewSharing(work, id)
      if (!view.confirmFirst || view.role !== "owner" || (how === undefined && this.#random() > 0.8)) continue
      const back = view.members.filter(({ returned }) => returned).map(({ colleague }) => colleague.physician)
      this.told.push(`${device} confirms without ${back.length}`)
      await confirmMembers(work, view, back)
    }
    const { unchanged, anew, waiting, left: kept } = await sendAgain(work)
    this.told.push(
      `sent ${unchanged} and ${anew}, ${waiting} wait, left: ${kept.map(({ reason }) => reason).join(" ")}`,
    )
    await settleUnheard(work)
    await this.#look(work)
    if (how === undefined) await this.#act(device, work)
    await this.#look(work)
    const refused = [...work.roster.refused.values(), work.session.log.refusal].filter((one) => one !== null)
    if (refused.length > 0) this.problems.push(`${device} refuses ${JSON.stringify(refused)}`)
    if (userOf(device) === "cyd")
      for (const row of work.roster.rows.values())
        for (const key of keysOf(row)) if (key !== undefined) this.#cydsKeys.add(encodeHex(key))
    // Now and then it is cut off.
    if (this.#random() < 0.9) await this.#putAway(work)
    return work
  }

  async #act(device: Device, work: Workspace): Promise<void> {
    const what = this.#random()
    const ids = [...work.roster.rows.keys()]
    const id = ids.length === 0 ? null : this.#oneOf(ids)
    try {
      if (what < 0.6 && id !== null) await this.#write(device, work, id)
      else if (what < 0.68) {
        const written = this.#begun(device, userOf(device) !== "cyd")
        await createPatient(work, { ...brady, diagnosis: `text ${written.number}.` })
        written.heard = true
      } else if (what < 0.8 && id !== null) await this.#shareOrNot(device, work, id)
    } catch (error) {
      const isExpected = error instanceof AppError && (error.is("NOT_ALLOWED") || error.code === "UNAVAILABLE_SERVER")
      if (!isExpected) throw error
      this.told.push(error.code)
    }
  }

  async #write(device: Device, work: Workspace, id: RecordId): Promise<void> {
    const { head, chart } = await work.records.open(id)
    const isMember = (username: Username) => head.members.some(({ physician }) => physician === this.#ids.get(username))
    const written = this.#begun(device, !isMember("cyd"))
    this.#drops = this.#random() < loss ? this.#oneOf(["request", "answer"]) : null
    this.told.push(`text ${written.number}, lost: ${this.#drops}`)
    try {
      await savePatient(work, id, head.seq, { ...formOf(chart), diagnosis: `text ${written.number}.` })
      written.heard = true
    } finally {
      this.#drops = null
    }
  }

  #begun(device: Device, withoutCyd: boolean): Written {
    const written = { number: this.#written.length + 1, device, heard: false, withoutCyd }
    this.#written.push(written)
    return written
  }

  async #shareOrNot(device: Device, work: Workspace, id: RecordId): Promise<void> {
    const { role, members } = await viewSharing(work, id)
    if (role !== "owner") return
    const other = this.#oneOf((["ada", "bob", "cyd"] as const).filter((username) => username !== userOf(device)))
    const physician = this.#ids.get(other)!
    if (members.some(({ colleague }) => colleague.physician === physician)) {
      this.told.push(`${device} removes ${other}`)
      await unshare(work, id, physician)
    } else {
      if (other === "cyd") this.#givenAgain.add(id)
      this.told.push(`${device} shares with ${other}`)
      await share(work, [id], other, this.#oneOf(["writer", "owner", "reader"]), null, many)
    }
  }

  #open(device: Device): Promise<Workspace> {
    return this.#practice.openAnyway(userOf(device), device, password, async (request, send) => {
      if (this.#drops === null || request.method !== "POST" || !request.path.endsWith("/entries")) return send(request)
      if (this.#drops === "answer") await send(request)
      // It is sent a second time, and no answer comes again.
      this.#drops = "request"
      throw new AppError("UNAVAILABLE_SERVER")
    })
  }

  async #look({ roster }: Workspace): Promise<void> {
    await roster.syncAfresh()
    await roster.looked()
  }

  async #putAway(work: Workspace): Promise<void> {
    await work.roster.sync()
    await this.#practice.putAway(work)
  }

  async #backUp(): Promise<void> {
    const name = `backup ${this.#backups.length}`
    this.#backups.push(name)
    this.told.push(name)
    await this.#practice.backUp(name, true)
  }

  #oneOf<T>(all: readonly T[]): T {
    return all[Math.floor(this.#random() * all.length)]!
  }
}

test.each(seeds)(
  "nothing is lost, written over, sent twice or shown to who was removed, whatever comes between: history %i",
  { timeout: 300_000 },
  async (seed) => {
    const practice = await Restoring.start()
    const history = new History(practice, seed)
    try {
      await history.begin()
      for (let i = 0; i < steps; i++) await history.step()
      await history.end()
      expect(history.problems, history.told.join(" · ")).toEqual([])
    } catch (cause) {
      throw new Error(`history ${seed}: ${history.told.join(" · ")}`, { cause })
    } finally {
      await practice.close()
    }
  },
)
