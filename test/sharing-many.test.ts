import { beforeAll, expect, it, vi } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { HomeList } from "../src/client/home.ts"
import { acceptInvitations, listInvitations } from "../src/client/invitations.ts"
import { share } from "../src/client/sharing.ts"
import type { ManyProgress } from "../src/client/views.ts"
import type { Workspace } from "../src/client/workspace.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { AppError } from "../src/errors.ts"
import { brady, meet } from "./colleagues.ts"
import { openPractice } from "./practice.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

const count = 1000
const stopAfter = 300
const practice = await openPractice()
let ada: Workspace
let ben: Workspace
const ids: RecordId[] = []

beforeAll(async () => {
  for (const name of ["ada", "ben"]) await practice.register(name)
  ada = await practice.open("ada")
  ben = await practice.open("ben")
  await meet(ada, ben)
  for (let n = 0; n < count; n++) {
    ids.push((await createPatient(ada, { ...brady, lastName: `No ${n}` })).id)
  }
})

const shown = (work: Workspace) =>
  new HomeList(work).page(
    { search: "", sort: "name", descending: false, archived: false, offset: 0, limit: 1 },
    true,
    "2026-11-23",
  ).matching

it(`shares ${count} records in one action that is stopped, goes on, and is accepted all at once`, async () => {
  const signal = { aborted: false }
  const seen: ManyProgress[] = []
  const progress = (at: ManyProgress) => {
    seen.push(at)
    if (at.done === stopAfter) signal.aborted = true
  }
  const stopped = await share(ada, ids, "ben", "writer", null, { progress, signal })
  expect(stopped).toEqual({ done: stopAfter, already: 0, refused: [], cancelled: true, problem: null })
  expect(seen.map(({ done }) => done)).toEqual(Array.from({ length: stopAfter + 1 }, (_, i) => i))
  expect((await listInvitations(ben)).invitations).toHaveLength(stopAfter)

  // Another process, another day: what was shared counts, the rest follows.
  const later = await practice.open("ada", "ada's other machine")
  const never = { progress: () => {}, signal: { aborted: false } }
  const done = await share(later, ids, "ben", "writer", null, never)
  expect(done).toEqual({ done: count, already: stopAfter, refused: [], cancelled: false, problem: null })

  const { invitations } = await listInvitations(ben)
  expect(invitations).toHaveLength(count)
  expect(new Set(invitations.map(({ from, problem }) => `${from.username} ${problem}`))).toEqual(new Set(["ada null"]))
  expect(shown(ben)).toBe(0)
  const halfway = { aborted: false }
  const part = await acceptInvitations(ben, ids, {
    progress: ({ done: accepted }) => {
      if (accepted >= stopAfter) halfway.aborted = true
    },
    signal: halfway,
  })
  expect(part).toMatchObject({ refused: [], cancelled: true })
  expect(part.done).toBeGreaterThanOrEqual(stopAfter)
  expect(shown(ben)).toBe(part.done)
  expect(await acceptInvitations(ben, ids, never)).toMatchObject({ done: count, already: part.done, refused: [] })
  expect(shown(ben)).toBe(count)
  expect((await listInvitations(ben)).invitations).toEqual([])

  // They are packed like any other: a fresh machine opens them without walking a thousand chains.
  expect(ben.session.keyring.roster.segments.reduce((sum, { records }) => sum + records, 0)).toBeGreaterThan(count / 2)
  const elsewhere = await practice.open("ben", "ben's other machine")
  expect([shown(elsewhere), elsewhere.roster.refused.size]).toEqual([count, 0])
  await elsewhere.roster.looked()
})

it("says how far it got where the server is lost in the middle, and goes on from there", async () => {
  let left = Number.POSITIVE_INFINITY
  const losing = (username: string) =>
    practice.open(username, `${username}, losing`, async (request, send) => {
      if (request.method === "POST" && left-- <= 0) throw new AppError("UNAVAILABLE_SERVER")
      return send(request)
    })
  const never = { progress: () => {}, signal: { aborted: false } }
  const mine = await losing("ada")
  const few = await Promise.all(Array.from({ length: 6 }, () => createPatient(mine, brady)))
  const fresh = few.map(({ id }) => id)
  left = 4
  const lost = { cancelled: true, refused: [], problem: { code: "UNAVAILABLE_SERVER", message: expect.any(String) } }
  expect(await share(mine, fresh, "ben", "writer", null, never)).toEqual({ done: 4, already: 0, ...lost })
  left = Number.POSITIVE_INFINITY
  expect(await share(mine, fresh, "ben", "writer", null, never)).toMatchObject({ done: 6, already: 4, problem: null })
  const theirs = await losing("ben")
  left = 0
  expect(await acceptInvitations(theirs, fresh, never)).toEqual({ done: 0, already: 0, ...lost })
  left = Number.POSITIVE_INFINITY
  expect(await acceptInvitations(theirs, fresh, never)).toMatchObject({ done: 6, refused: [], problem: null })
})
