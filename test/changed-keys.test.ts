import { expect, it } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { viewRecord } from "../src/client/record-views.ts"
import { leave, share, unshare, viewSharing } from "../src/client/sharing.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { brady, edit, give, many, meet, noteChanged, physicians, refused } from "./colleagues.ts"
import { openPractice } from "./practice.ts"

const practice = await openPractice()

/** An owner's record with two writers and a reader. The keys of both writers have changed since the owner verified them. */
async function changed(tag: string) {
  const names = [`ada-${tag}`, `mal-${tag}`, `max-${tag}`, `cyd-${tag}`]
  const [ada, mal, max, cyd] = (await physicians(practice, ...names)) as [Workspace, Workspace, Workspace, Workspace]
  for (const other of [mal, max, cyd]) await meet(ada, other)
  const { id } = await createPatient(ada, brady)
  await give(ada, mal, id, "writer")
  await give(ada, max, id, "writer")
  await give(ada, cyd, id, "reader")
  await noteChanged(ada, mal, max)
  await ada.roster.sync()
  return { ada, mal, max, cyd, id }
}

const membersOf = async (work: Workspace, id: Parameters<typeof viewSharing>[1]) =>
  (await viewSharing(work, id)).members.map(({ colleague }) => colleague.username).sort()

it("two members whose keys have changed are removed together, whichever is named", async () => {
  const { ada, mal, max, cyd, id } = await changed("a")
  await edit(ada, id, "Asthma")
  expect(await unshare(ada, id, mal.session.physician)).toEqual(["max-a"])
  expect(await membersOf(ada, id)).toEqual(["ada-a", "cyd-a"])
  await edit(ada, id, "Gout")
  await cyd.roster.sync()
  expect((await cyd.records.open(id)).summary.diagnoses).toEqual(["Gout"])
  for (const other of [mal, max]) {
    await other.roster.sync()
    expect(other.roster.rows.has(id)).toBe(false)
  }
})

it("go with somebody else who is removed", async () => {
  const { ada, cyd, id } = await changed("b")
  expect([...(await unshare(ada, id, cyd.session.physician))].sort()).toEqual(["mal-b", "max-b"])
  expect(await membersOf(ada, id)).toEqual(["ada-b"])
  expect(await unshare(ada, id, cyd.session.physician)).toEqual([])
})

it("are named with the record, and with its members", async () => {
  const { ada, cyd, id } = await changed("c")
  const view = async (work: Workspace) => {
    const record = await work.records.open(id)
    return viewRecord(work, record, record.head.seq)
  }
  expect((await view(ada)).keysChanged).toEqual(["mal-c", "max-c"])
  expect((await view(cyd)).keysChanged).toEqual([])
  const { members } = await viewSharing(ada, id)
  const named = members.filter(({ keysChanged }) => keysChanged).map(({ colleague }) => colleague.username)
  expect(named.sort()).toEqual(["mal-c", "max-c"])
})

it("stand in the way of a fresh key, and it is said who they are and what to do", async () => {
  const { ada, max, id } = await changed("d")
  await share(ada, [id], "cyd-d", "owner", null, many)
  await leave(max, id)
  await ada.roster.sync()
  await expect(edit(ada, id, "Asthma")).rejects.toMatchObject({
    code: "NOT_ALLOWED_CHANGED_KEY",
    message: expect.stringMatching(
      /^The keys of mal-d have changed .* Remove them under Sharing, or with `healthcrypt unshare`/,
    ),
  })
  expect(await share(ada, [id], "cyd-d", "writer", null, many)).toMatchObject({
    refused: [{ code: "NOT_ALLOWED_CHANGED_KEY", message: expect.stringContaining("mal-d") }],
  })
})

it("are asked of an owner by a writer", async () => {
  const { ada, mal, max, id } = await changed("e")
  await meet(mal, max)
  await noteChanged(mal, max)
  const cyd = await practice.open("cyd-e", "again")
  await leave(cyd, id)
  await mal.roster.sync()
  await expect(edit(mal, id, "Asthma")).rejects.toMatchObject({
    code: "NOT_ALLOWED_CHANGED_KEY",
    message: expect.stringMatching(/^The keys of max-e have changed .* Ask one of its owners to remove them\.$/),
  })
  await expect(edit(ada, id, "Asthma")).rejects.toEqual(refused("NOT_ALLOWED_CHANGED_KEY"))
})

it("stay changed for a record whose list names the keys from before they were compared again", async () => {
  const { ada, mal, max, id } = await changed("f")
  await ada.session.updateKeyring((keyring) => ({
    ...keyring,
    colleagues: keyring.colleagues.map((one) => ({
      ...one,
      state: "verified" as const,
      fingerprint: new Uint8Array(32),
    })),
  }))
  expect((await viewSharing(ada, id)).members.filter(({ keysChanged }) => keysChanged)).toHaveLength(3)
  expect(await unshare(ada, id, mal.session.physician)).toHaveLength(2)
  expect(await unshare(ada, id, max.session.physician)).toEqual([])
})
