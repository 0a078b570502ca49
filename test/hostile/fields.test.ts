import { cp, readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import { beforeAll, describe, expect, it } from "vitest"
import { accountActivity, listDevices, listSessions, recordActivity } from "../../src/client/activity.ts"
import { createPatient } from "../../src/client/edits.ts"
import { listInvitations } from "../../src/client/invitations.ts"
import { history } from "../../src/client/record-views.ts"
import { share, unshare, viewSharing } from "../../src/client/sharing.ts"
import type { Workspace } from "../../src/client/workspace.ts"
import { formOf } from "../../src/clinical/form.ts"
import { parseBase64url } from "../../src/encoding/base64.ts"
import { parseUtf8, utf8 } from "../../src/encoding/bytes.ts"
import type { RecordId } from "../../src/encoding/ids.ts"
import { AppError } from "../../src/errors.ts"
import { type EntryStatement, parseEntry } from "../../src/proof/entry.ts"
import { brady, edit, give, home, many, meet, physicians } from "../colleagues.ts"
import { type Between, openPractice } from "../practice.ts"
import { resume } from "./cast.ts"
import { type Change, changed, changes, type FieldPath, fieldsOf } from "./fields.ts"

/** Changes every field of every answer, one at a time, for devices that begin anew, are behind, or make their roster anew. Each is refused,
 * makes no difference, or is listed in docs/threat-model.md as the server's word. And after a refusal nothing that is sealed under an ended
 * epoch has left the client. */

const practice = await openPractice()
const page = await readFile(join(import.meta.dirname, "../../docs/threat-model.md"), "utf8")

type Device = "fresh" | "behind" | "rebuilt"
const devices: readonly Device[] = ["fresh", "behind", "rebuilt"]

let bea: Workspace
/** A record of bea's own, one that ada shares with her and that somebody was removed from, and one that she is invited to. */
let records: { own: RecordId; shared: RecordId; invited: RecordId }
let username: string

beforeAll(async () => {
  const [ada, other, cyd] = (await physicians(practice, "ada", "bea", "cyd")) as [Workspace, Workspace, Workspace]
  bea = other
  username = ada.session.username
  await meet(ada, bea)
  await meet(ada, cyd)
  const own = (await createPatient(bea, brady)).id
  await edit(bea, own, "Gout")
  const shared = (await createPatient(ada, { ...brady, lastName: "Shared" })).id
  await give(ada, bea, shared, "writer")
  await give(ada, cyd, shared, "writer")
  await edit(cyd, shared, "Asthma")
  await bea.roster.sync()
  await bea.roster.fold(true)
  // Here the device that is behind stopped: cyd could still read what was written then.
  await bea.session.pins.save()
  await cp(join(practice.folder, "devices", "bea"), join(practice.folder, "behind"), { recursive: true })
  await unshare(ada, shared, cyd.session.physician)
  await edit(ada, shared, "Penicillin allergy")
  const invited = (await createPatient(ada, { ...brady, lastName: "Invited" })).id
  await share(ada, [invited], "bea", "reader", null, many)
  await bea.roster.sync()
  await bea.roster.bind()
  records = { own, shared, invited }
}, 120_000)

interface Outcome {
  /** What was shown, or `null` where something was refused. */
  readonly view: unknown
  /** What the client sent of its own, in spite of all. */
  readonly sent: readonly EntryStatement[]
}

let runs = 0

/** Looks at everything that bea can see, and tries to write. What she writes is not let through. */
async function look(device: Device, between: Between = (request, send) => send(request)): Promise<Outcome> {
  const folder = join(practice.folder, "runs", String(++runs))
  if (device === "behind") await cp(join(practice.folder, "behind"), folder, { recursive: true })
  const sent: EntryStatement[] = []
  const guarded: Between = async (request, send) => {
    if (device === "rebuilt" && request.path === "/api/segments") return { status: 200, body: new Uint8Array(0) }
    if (request.method !== "POST" || !request.path.endsWith("/entries")) return between(request, send)
    sent.push(parseEntry(parseBase64url(JSON.parse(parseUtf8(request.body!)).statement)))
    return { status: 503, body: utf8(JSON.stringify({ code: "UNAVAILABLE", message: "" })) }
  }
  const signedIn = { bearer: bea.session.around.transport.bearer!, key: bea.session.key }
  const { around, open, close } = await resume(practice.server.url, signedIn, folder, guarded)
  let view: unknown = null
  try {
    const work = await open()
    // A refusal may end when an honest answer brings the record: what was refused at first was refused.
    let refused = work.roster.refused.size > 0
    const seen = await everythingOf(work)
    refused ||= seen.invitations.some(({ problem }) => problem !== null)
    await edit(work, records.shared, "Written now").catch((error: unknown) => {
      if (!(error instanceof AppError && error.is("UNAVAILABLE"))) throw error
    })
    await work.roster.looked()
    if (!refused && work.roster.refused.size === 0 && work.session.log.refusal === null) view = seen
    around.transport.close()
  } catch (error) {
    if (!(error instanceof AppError)) throw error
  } finally {
    close()
    await rm(folder, { recursive: true, force: true })
  }
  return { view, sent }
}

async function everythingOf(work: Workspace) {
  const { session } = work
  const list = home(work)
  const shown = []
  for (const id of [records.own, records.shared]) {
    const record = await work.records.open(id)
    shown.push({
      form: formOf(record.chart),
      history: await history(work, id),
      sharing: await viewSharing(work, id),
      activity: await recordActivity(work, id, null),
    })
  }
  const sessions = (await listSessions(work)).map(({ lastActive, ...rest }) => ({
    ...rest,
    lately: Math.abs(lastActive - practice.now()) < 3_600_000,
  }))
  return structuredClone({
    list,
    shown,
    name: session.fullName,
    sessions,
    devices: listDevices(work),
    account: await accountActivity(work, null),
    invitations: (await listInvitations(work)).invitations,
    colleague: session.people.view(await session.people.find(username)),
  })
}

/** An answer by its address, without what stands for ids and names in it. */
function answerOf(request: { readonly method: string; readonly path: string }): string {
  const path = request.path.replace(/\?.*/, "").replaceAll(/[A-Za-z0-9_-]{22}(?=\/|$)/g, ":id")
  return `${request.method} ${path.replace(/(?<=usernames\/).*/, ":username")}`
}

/** Changes one field of one kind of answer, in all that come. */
function lying(answer: string, field: FieldPath, change: Change, made: { count: number }): Between {
  return async (request, send) => {
    const response = await send(request)
    if (answerOf(request) !== answer || response.status !== 200) return response
    const before = JSON.parse(parseUtf8(response.body))
    const after = changed(before, field, change)
    if (after === before) return response
    made.count++
    return { ...response, body: utf8(JSON.stringify(after)) }
  }
}

/** Every answer that a look gets, with all of its fields. */
async function everyField(device: Device): Promise<{ honest: Outcome; fields: Map<string, Set<FieldPath>> }> {
  const fields = new Map<string, Set<FieldPath>>()
  const honest = await look(device, async (request, send) => {
    const response = await send(request)
    const answer = answerOf(request)
    if (response.status !== 200 || request.path === "/api/segments") return response
    const known = fields.get(answer) ?? new Set()
    for (const field of fieldsOf(JSON.parse(parseUtf8(response.body)))) known.add(field)
    fields.set(answer, known)
    return response
  })
  return { honest, fields }
}

/** What docs/threat-model.md says of fields: a row names an answer, its fields, and what holds them. */
const listed = page
  .slice(page.indexOf("## Every field of every answer"))
  .split("\n## ")[0]!
  .matchAll(/^\| `([A-Z]+ [^`]+)` +\| (`.+?`) +\| (.+?) +\|$/gm)
const rows = [...listed].map(([, answer, fields, held]) => ({
  answer: answer!,
  fields: [...fields!.matchAll(/`([^`]+)`/g)].map(([, field]) => field!),
  serversWord: held!.startsWith("the server's word"),
}))

/** `leaf.*` stands for all that lies in `leaf`. */
function covers(pattern: string, field: FieldPath): boolean {
  const inner = pattern.replace(/\.?\*$/, "")
  return field === inner || (inner !== pattern && (field.startsWith(`${inner}.`) || field.startsWith(`${inner}[`)))
}

function rowsOf(answer: string, field: FieldPath) {
  return rows.filter((row) => row.answer === answer && row.fields.some((pattern) => covers(pattern, field)))
}

describe("every field of every answer", () => {
  /** Fields that were seen, and fields where another view was taken for the truth: answer and field. */
  const seen = new Map<string, readonly [answer: string, field: FieldPath]>()
  const believed = new Map<string, readonly [answer: string, field: FieldPath]>()

  it.each(devices)(
    "is held by a check, or is the server's word: a device that is %s",
    { timeout: 900_000 },
    async (device) => {
      const { honest, fields } = await everyField(device)
      expect(honest.view).not.toBeNull()
      const { epoch, hash } = (await bea.records.open(records.shared)).head
      const leaked: string[] = []
      for (const [answer, paths] of fields)
        for (const field of paths) {
          seen.set(`${answer} ${field}`, [answer, field])
          for (const change of device === "fresh" ? changes : changes.slice(0, 2)) {
            const made = { count: 0 }
            const { view, sent } = await look(device, lying(answer, field, change, made))
            if (made.count === 0) continue
            const name = `${answer} ${field}`
            if (view !== null && JSON.stringify(view) !== JSON.stringify(honest.view))
              believed.set(name, [answer, field])
            for (const entry of sent)
              if (entry.epoch !== epoch || Buffer.compare(entry.prev!, hash) !== 0)
                leaked.push(`${name}: ${change.name}`)
          }
        }
      expect(leaked).toEqual([])
      const wrongly = [...believed.values()].filter((one) => !rowsOf(...one).some(({ serversWord }) => serversWord))
      expect(wrongly.map(([answer, field]) => `${answer} ${field}`)).toEqual([])
    },
  )

  const writes: readonly [string, RegExp, (work: Workspace, n: number) => Promise<unknown>][] = [
    ["POST /api/records/:id/entries", /\/entries$/, (work, n) => edit(work, records.own, `Diagnosis ${n}`)],
    ["PUT /api/keyring", /keyring$/, (work) => work.session.updateKeyring((keyring) => keyring)],
  ]
  it.each(writes)("of a receipt is held: %s", { timeout: 300_000 }, async (answer, _, write) => {
    const fields = new Set<FieldPath>()
    const noting: Between = async (request, send) => {
      const response = await send(request)
      if (answerOf(request) === answer)
        for (const field of fieldsOf(JSON.parse(parseUtf8(response.body)))) fields.add(field)
      return response
    }
    const attempt = async (between: Between) => {
      const folder = join(practice.folder, "runs", String(++runs))
      const signedIn = { bearer: bea.session.around.transport.bearer!, key: bea.session.key }
      const { around, open, close } = await resume(practice.server.url, signedIn, folder, between)
      const outcome = await open()
        .then((work) => write(work, runs))
        .then(
          () => "taken",
          (error: unknown) => (error instanceof AppError ? "refused" : error),
        )
      around.transport.close()
      close()
      return outcome
    }
    expect(await attempt(noting)).toBe("taken")
    for (const field of fields) {
      seen.set(`${answer} ${field}`, [answer, field])
      for (const change of changes) {
        const made = { count: 0 }
        const outcome = await attempt(lying(answer, field, change, made))
        if (made.count > 0) expect(outcome, `${answer} ${field}: ${change.name}`).toBe("refused")
      }
    }
  })

  it("stands in docs/threat-model.md, and nothing is listed there as the server's word that is not", () => {
    const unlisted = [...seen.values()].filter((one) => rowsOf(...one).length !== 1)
    expect(unlisted.map(([answer, field]) => `${answer} ${field}`)).toEqual([])
    const unbelieved = rows
      .filter(({ answer, fields, serversWord }) => {
        const met = [...believed.values()].some(
          ([of, field]) => of === answer && fields.some((one) => covers(one, field)),
        )
        return serversWord && !met
      })
      .map(({ answer, fields }) => `${answer} ${fields.join(" ")}`)
    expect(unbelieved).toEqual([])
  })
})
