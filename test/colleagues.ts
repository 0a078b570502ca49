import { expect } from "vitest"
import { type Act, append } from "../src/client/append.ts"
import { createPatient, savePatient } from "../src/client/edits.ts"
import { HomeList } from "../src/client/home.ts"
import { acceptInvitations } from "../src/client/invitations.ts"
import { share } from "../src/client/sharing.ts"
import type { Role } from "../src/client/views.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import { compare } from "../src/encoding/bytes.ts"
import { idBytes, type RecordId } from "../src/encoding/ids.ts"
import type { Member } from "../src/proof/entry.ts"
import { importRecipient, sealGrant } from "../src/vault/grants.ts"
import { commitTo, newSecretKey, type RecordKey } from "../src/vault/keys.ts"
import type { Practice } from "./practice.ts"

export const refused = (code: string) => expect.objectContaining({ code })
/** Nobody watches, nobody stops it. */
export const many = { progress: () => {}, signal: { aborted: false } }
export const brady = { firstName: "Brady", lastName: "Kuhlman", birthDate: "1961-07-09", diagnosis: "Hypertension" }

/** Signs up physicians, each on a device of their own. */
export async function physicians(practice: Practice, ...usernames: string[]): Promise<Workspace[]> {
  for (const username of usernames) await practice.register(username)
  return Promise.all(usernames.map((username) => practice.open(username)))
}

/** Both compare their number, and it is the same. */
export async function meet(a: Workspace, b: Workspace): Promise<void> {
  const ofA = a.session.people.view(await a.session.people.find(b.session.username)).safetyNumber
  const ofB = b.session.people.view(await b.session.people.find(a.session.username)).safetyNumber
  expect(ofA).toBe(ofB)
  expect(ofA).toMatch(/^\d{60}$/)
  await a.session.people.verify(b.session.username, ofB, "digits")
  const { code } = a.session.people.view(await a.session.people.find(b.session.username))
  await b.session.people.verify(a.session.username, code, "code")
}

/** What is noted of colleagues where each signed an identity with other keys, by the key before. */
export async function noteChanged({ session }: Workspace, ...colleagues: readonly Workspace[]): Promise<void> {
  const changed = colleagues.map((one) => one.session.physician)
  await session.updateKeyring((keyring) => ({
    ...keyring,
    colleagues: keyring.colleagues.map((one) =>
      changed.includes(one.physician) ? { ...one, state: "changed" as const } : one,
    ),
  }))
}

/** Shares a record, and accepts it. */
export async function give(from: Workspace, to: Workspace, id: RecordId, role: Role): Promise<void> {
  expect(await share(from, [id], to.session.username, role, null, many)).toMatchObject({ done: 1, refused: [] })
  expect(await acceptInvitations(to, [id], many)).toMatchObject({ done: 1, refused: [] })
}

export const home = (work: Workspace) =>
  new HomeList(work).page(
    { search: "", sort: "name", descending: false, archived: false, offset: 0, limit: 100 },
    true,
    "2026-11-23",
  )

export async function edit(work: Workspace, id: RecordId, diagnosis: string) {
  const { head, chart } = await work.records.open(id)
  return savePatient(work, id, head.seq, { ...formOf(chart), diagnosis })
}

export const sorted = (members: readonly Member[]) =>
  [...members].sort((a, b) => compare(idBytes(a.physician), idBytes(b.physician)))

/** As long as a grant, and none. */
export const noGrant = () => crypto.getRandomValues(new Uint8Array(1300))

/** Everything this client holds against the server. */
export async function suspicions({ roster, session }: Workspace): Promise<unknown> {
  await roster.sync()
  await roster.looked()
  return { refused: [...roster.refused], log: session.log.refusal }
}
/** What `suspicions` comes to before an honest server. */
export const none = { refused: [], log: null }

/** A writer gives everybody else a fresh key that none of them can open.
 * @param but who gets the true one, or one that is given here */
export async function raiseFalsely(
  work: Workspace,
  id: RecordId,
  but?: Workspace,
  given?: RecordKey,
  bad = noGrant,
): Promise<void> {
  const { session } = work
  const { head } = await work.records.open(id)
  const key = newSecretKey<"record">()
  const epoch = head.epoch + 1
  const act: Act = { kind: "members", epoch, members: [...head.members], keyCommit: await commitTo(key, id, epoch) }
  const others = head.members.filter(({ physician }) => physician !== session.physician)
  const grants = others.map(async ({ physician, fingerprint, role }) => {
    if (physician !== but?.session.physician) return { recipient: physician, grant: bad() }
    const place = {
      record: id,
      granter: session.physician,
      granterFingerprint: session.identity.fingerprint,
      recipient: physician,
      recipientFingerprint: fingerprint,
      seq: head.seq + 1,
      role,
    }
    const granted = { by: "", keys: new Map([[epoch, given ?? key]]) }
    return {
      recipient: physician,
      grant: await sealGrant(await importRecipient(but.session.identity.sealKey), place, granted),
    }
  })
  const contents = { summary: work.roster.rows.get(id)!, grants: await Promise.all(grants) }
  await append(session, id, head, key, act, contents)
}

/** An owner's record, a writer who gave everybody else a key that is none and went on writing, and a reader. */
export async function sabotaged(
  practice: Practice,
  tag: string,
  before: (ada: Workspace, id: RecordId) => Promise<void> = async () => {},
) {
  const names = [`ada-${tag}`, `mal-${tag}`, `cyd-${tag}`]
  const [ada, mal, cyd] = (await physicians(practice, ...names)) as [Workspace, Workspace, Workspace]
  await meet(ada, mal)
  await meet(ada, cyd)
  const { id } = await createPatient(ada, brady)
  await give(ada, mal, id, "writer")
  await give(ada, cyd, id, "reader")
  await before(ada, id)
  await ada.roster.fold(true)
  await raiseFalsely(mal, id)
  await edit(mal, id, "Written under a key of their own")
  return { ada, mal, cyd, id }
}

/** An owner's record with a gap for a reader: a writer gave the true key to the owner alone, who wrote on. */
export async function gapped(practice: Practice, tag: string) {
  const names = [`ada-${tag}`, `mal-${tag}`, `dan-${tag}`]
  const [ada, mal, dan] = (await physicians(practice, ...names)) as [Workspace, Workspace, Workspace]
  await meet(ada, mal)
  await meet(ada, dan)
  const { id } = await createPatient(ada, brady)
  await give(ada, mal, id, "writer")
  await give(ada, dan, id, "reader")
  await raiseFalsely(mal, id, ada)
  await ada.roster.sync()
  await edit(ada, id, "Gout")
  return { ada, mal, dan, id }
}

/** What a device without any memory comes to, with its packed roster and without. */
export async function anew(practice: Practice, username: string, device: string): Promise<Workspace[]> {
  const rebuilt = practice.open(username, `${device}, rebuilt`, async (request, send) =>
    request.path.startsWith("/api/segments") ? { status: 200, body: new Uint8Array(0) } : send(request),
  )
  return [await practice.open(username, device), await rebuilt]
}
