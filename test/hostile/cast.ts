import { join } from "node:path"
import { connect } from "../../src/cli/http.ts"
import { fileStorage } from "../../src/cli/storage.ts"
import { demandConfirmed, register, renewWords } from "../../src/client/account.ts"
import { createPatient, savePatient } from "../../src/client/edits.ts"
import { acceptInvitations } from "../../src/client/invitations.ts"
import { Session, type Surroundings } from "../../src/client/session.ts"
import { share, unshare } from "../../src/client/sharing.ts"
import { Transport } from "../../src/client/transport.ts"
import type { Role } from "../../src/client/views.ts"
import { type Workspace, workspaceOf } from "../../src/client/workspace.ts"
import type { PhysicianId, RecordId } from "../../src/encoding/ids.ts"
import type { ErrorCode } from "../../src/errors.ts"
import { currentSession, practice as practiceSchema } from "../../src/protocol/accounts.ts"
import { paths } from "../../src/protocol/paths.ts"
import { asSecretKey, type PhysicianKey } from "../../src/vault/keys.ts"
import type { Between } from "../practice.ts"

/** ada, ben and cyd have verified each other; ada and gus too. Nobody has verified dee. ben has renewed his recovery words last of all:
 * his devices know of it, his keyring does not yet. */
export const usernames = ["ada", "ben", "cyd", "dee", "gus"] as const
export type Username = (typeof usernames)[number]

export const password = "correct horse battery staple"

/** Family names that stand nowhere but in the patients' records: whatever shows one shows a patient. */
export const patients = {
  shared: "Quenneville",
  other: "Ramsbottom",
  own: "Szczepanek",
  invited: "Throckmorton",
  strange: "Uttoxeter",
} as const
export type RecordName = keyof typeof patients

/** What everybody has before anything goes wrong.
 *
 * - `shared`, ada's: 0 open · 1 ben joins as writer · 2 cyd as reader · 3 ben writes · 4 gus joins · 5 gus is removed, epoch 1 ·
 *   6 ben writes · 7 ada writes
 * - `other`, ada's: 0 open · 1 ben joins as writer · 2 ada writes
 * - `own`, ben's: 0 open · 1 ben writes
 * - `invited`, ada's: 0 open · 1 ben is invited as writer, and has not answered
 * - `strange`, dee's: 0 open · 1 ben is invited as reader, and has not answered */
export interface Cast {
  readonly ids: Readonly<Record<Username, PhysicianId>>
  readonly records: Readonly<Record<RecordName, RecordId>>
  readonly signedIn: Readonly<Record<Username, SignedIn>>
}

/** A program's session that goes on: enough to stand up again without the password. */
interface SignedIn {
  readonly bearer: string
  readonly key: PhysicianKey
}

const names: Record<Username, readonly [string, string]> = {
  ada: ["Ada", "Byron"],
  ben: ["Ben", "Bova"],
  cyd: ["Cyd", "Carr"],
  dee: ["Dee", "Dorn"],
  gus: ["Gus", "Gray"],
}

/** Registers everybody and lets them do what {@link Cast} says. @param homes gets everybody's HEALTHCRYPT_HOME, under their name */
export async function assemble(server: string, homes: string): Promise<Cast> {
  const connection = connect(server, undefined)
  const works = {} as Record<Username, Workspace>
  for (const username of usernames) {
    const [firstName, lastName] = names[username]
    const around: Surroundings = {
      transport: new Transport(connection.send),
      storage: fileStorage(join(homes, username)),
      carrier: "bearer",
      now: Date.now,
    }
    const session = await (await register(around, { username, firstName, lastName, password })).enter()
    works[username] = workspaceOf(session)
    await works[username].roster.sync()
  }
  const { ada, ben, cyd, dee, gus } = works
  await renewWords(cyd.session, password)
  for (const [a, b] of [
    [ada, ben],
    [ada, cyd],
    [ben, cyd],
    [ada, gus],
  ] as const) {
    await meet(a, b)
    await meet(b, a)
  }
  const shared = await newPatient(ada, "shared")
  await give(ada, ben, shared, "writer")
  await give(ada, cyd, shared, "reader")
  await diagnose(ben, "shared", shared, "Asthma")
  await give(ada, gus, shared, "reader")
  await unshare(ada, shared, gus.session.physician)
  await Promise.all([ben.roster.sync(), cyd.roster.sync()])
  await diagnose(ben, "shared", shared, "Gout")
  await diagnose(ada, "shared", shared, "Migraine")
  const other = await newPatient(ada, "other")
  await give(ada, ben, other, "writer")
  await diagnose(ada, "other", other, "Eczema")
  const own = await newPatient(ben, "own")
  await diagnose(ben, "own", own, "Sciatica")
  const invited = await newPatient(ada, "invited")
  await share(ada, [invited], "ben", "writer", null, many)
  await renewWords(ben.session, password)
  await meet(dee, ben)
  const strange = await newPatient(dee, "strange")
  await share(dee, [strange], "ben", "reader", null, many)
  const ids = {} as Record<Username, PhysicianId>
  const signedIn = {} as Record<Username, SignedIn>
  for (const username of usernames) {
    const { roster, session } = works[username]
    await roster.sync()
    await roster.looked()
    await roster.bind()
    await session.pins.save()
    await session.kept.flush()
    ids[username] = session.physician
    signedIn[username] = { bearer: session.around.transport.bearer!, key: session.key }
  }
  connection.close()
  return { ids, records: { shared, other, own, invited, strange }, signedIn }
}

/** A client of one of the cast on their session that goes on, with the roster open, up to date and looked through.
 * @param home a folder of this client's own, which may hold what it remembers. @param between stands between it and the server */
export async function resume(server: string, { bearer, key }: SignedIn, home: string, between?: Between) {
  const connection = connect(server, undefined)
  const { send } = connection
  const transport = new Transport(between === undefined ? send : (request) => between(request, send))
  transport.bearer = bearer
  const around: Surroundings = { transport, storage: fileStorage(home), carrier: "bearer", now: Date.now }
  const open = async (): Promise<Workspace> => {
    const practice = await transport.call("GET", paths.practice, { reply: practiceSchema.reply })
    const account = await transport.call("GET", paths.session, { reply: currentSession.reply })
    const session = await Session.stand(around, practice, account, asSecretKey<"physician">(key.slice()))
    const work = workspaceOf(demandConfirmed(session))
    await work.roster.load()
    await work.roster.sync()
    await work.roster.looked()
    return work
  }
  // What a client would still do in the background, it would do to another copy of the practice.
  const close = () => {
    transport.close()
    connection.close()
  }
  return { around, open, close }
}

export const many = { progress: () => {}, signal: { aborted: false } }

export const fieldsOf = (name: RecordName, diagnosis: string) => ({
  firstName: "Pat",
  lastName: patients[name],
  birthDate: "1961-07-09",
  diagnosis,
})

/** Nothing but the first refusal, where there is one. */
export function refusalOf(report: { readonly refused: readonly { readonly code: ErrorCode }[] }): ErrorCode | null {
  return report.refused[0]?.code ?? null
}

async function newPatient(work: Workspace, name: RecordName): Promise<RecordId> {
  return (await createPatient(work, fieldsOf(name, "Hypertension"))).id
}

export async function diagnose(work: Workspace, name: RecordName, id: RecordId, diagnosis: string): Promise<void> {
  const { head } = await work.records.open(id)
  const saved = await savePatient(work, id, head.seq, fieldsOf(name, diagnosis))
  if (!saved.saved) throw new Error("not saved")
}

/** `a` compares the number with `b` and verifies them. */
export async function meet(a: Workspace, b: Workspace): Promise<void> {
  const { safetyNumber } = b.session.people.view(await b.session.people.find(a.session.username))
  await a.session.people.verify(b.session.username, safetyNumber, "digits")
}

async function give(from: Workspace, to: Workspace, id: RecordId, role: Role): Promise<void> {
  const refused = refusalOf(await share(from, [id], to.session.username, role, null, many))
  const again = refusalOf(await acceptInvitations(to, [id], many))
  if (refused ?? again) throw new Error(`${from.session.username} to ${to.session.username}: ${refused ?? again}`)
}
