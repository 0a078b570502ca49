import { expect } from "vitest"
import { acceptInvitations } from "../../src/client/invitations.ts"
import { share, unshare } from "../../src/client/sharing.ts"
import { parseBase64url } from "../../src/encoding/base64.ts"
import { parseEntry } from "../../src/proof/entry.ts"
import { leafDataBytes } from "../../src/proof/leaf.ts"
import type { Between } from "../practice.ts"
import type { Attack, Scene } from "./attack.ts"
import { diagnose, many, type RecordName, refusalOf, type Username } from "./cast.ts"
import { rangesAfter, setProofOf } from "./forge.ts"
import { entriesOf, rewriting, type WireAnswer, type WireEntry } from "./rewriting.ts"
import { home, record, write } from "./steps.ts"
import type { World } from "./world.ts"

const feed = /^\/api\/changes\?since=\d{1,9}&/
const reading = /\/entries\?/

/** Entries that are left out, repeated, or in another order, while one record is read and in what is new. */
export const order: readonly Attack[] = [
  {
    name: "an older version of a record passes for the newest, with a true proof of its leaf",
    code: "TAMPERED_ROLLBACK",
    step: record("shared"),
    between: ({ world }) => rewriting(reading, (answer) => cutOff(world, answer, 7))(),
  },
  {
    name: "an older version of a record passes for the newest, with the proof of the newest",
    code: "TAMPERED_LOG",
    step: record("shared"),
    between: rewriting(reading, (answer) => {
      entriesOf(answer).pop()
    }),
  },
  {
    name: "an older entry of a record says another time than was logged",
    code: "TAMPERED_LOG",
    step: record("own"),
    between: rewriting(reading, (answer) => {
      entriesOf(answer)[0]!.leaf.time = Date.UTC(2019, 0, 1)
    }),
  },
  {
    name: "a record has no entries at all",
    code: "TAMPERED_CHAIN",
    step: record("shared"),
    between: rewriting(reading, (answer) => {
      answer.entries = []
    }),
  },
  {
    name: "a record promises more entries, and none come",
    code: "TAMPERED_CHAIN",
    step: record("shared"),
    between: rewriting(reading, (answer) => {
      answer.entries = []
      answer.more = true
    }),
  },
  {
    name: "an entry is missing in the middle",
    code: "TAMPERED_CHAIN",
    step: record("shared"),
    between: rewriting(reading, (answer) => {
      entriesOf(answer).splice(3, 1)
    }),
  },
  {
    name: "an entry comes twice",
    code: "TAMPERED_CHAIN",
    step: record("shared"),
    between: rewriting(reading, (answer) => {
      entriesOf(answer).splice(3, 0, entriesOf(answer)[3]!)
    }),
  },
  {
    name: "two entries change places",
    code: "TAMPERED_CHAIN",
    step: record("shared"),
    between: rewriting(reading, (answer) => {
      const entries = entriesOf(answer)
      ;[entries[6], entries[7]] = [entries[7]!, entries[6]!]
    }),
  },
  {
    name: "a record goes on with an entry of another",
    code: "TAMPERED_CHAIN",
    step: record("own"),
    between: ({ cast, world }) =>
      rewriting(new RegExp(`${cast.records.own}/entries`), (answer) => {
        const [strange] = world.sql<Record<"statement" | "signature", Uint8Array>>(
          "select statement, signature from entry where record = ? and seq = 2",
          cast.records.other,
        )
        const [first] = entriesOf(answer)
        const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url")
        entriesOf(answer)[1] = { ...first!, statement: text(strange!.statement), signature: text(strange!.signature) }
      })(),
  },
  {
    name: "what is new lacks an entry in the middle of a record",
    code: "TAMPERED_CHAIN",
    step: home("shared"),
    between: ({ cast }) => rewriting(feed, (answer) => drop(answer, cast.records.shared, 3))(),
  },
  {
    name: "a record's newest entry is withheld everywhere, and its leaf stands in the log",
    code: "TAMPERED_ROLLBACK",
    step: home("shared", { device: "fresh" }),
    between: (scene) => withhold(scene, "shared", 7),
  },
  {
    name: "a record's newest entry is withheld, and the record was accepted after it",
    code: "TAMPERED_ROLLBACK",
    step: home("invited", { device: "fresh" }),
    honest: { plant: acceptLate },
    plant: acceptLate,
    between: (scene) => frozen(scene, "invited", 2, acceptOf(scene, "invited", "ben")),
  },
  {
    name: "a record's newest entry is withheld from a device that had seen more of the log than of the record",
    code: "TAMPERED_ROLLBACK",
    step: home("invited"),
    honest: { plant: acceptLate },
    plant: acceptLate,
    between: (scene) => frozen(scene, "invited", 2, acceptOf(scene, "invited", "ben")),
  },
  {
    name: "a record's newest entry is withheld, and the record was accepted after it, from a device whose packed roster is lost",
    code: "TAMPERED_ROLLBACK",
    step: home("invited", { device: "fresh" }),
    honest: { plant: packedAndAcceptedLate, between: () => lostSegments },
    plant: packedAndAcceptedLate,
    between: (scene) => {
      const freezing = frozen(scene, "invited", 2, acceptOf(scene, "invited", "ben"))
      return (request, send) => lostSegments(request, (passed) => freezing(passed, send))
    },
  },
  {
    name: "a removal is withheld from a writer, and the record was accepted after it: nothing is sent under the key before",
    code: "TAMPERED_ROLLBACK",
    step: write("invited"),
    honest: { plant: acceptAfterRemoval },
    plant: acceptAfterRemoval,
    between: (scene) => {
      const freezing = frozen(scene, "invited", 3, acceptOf(scene, "invited", "ben"))
      return (request, send) => {
        if (request.method === "POST" && request.path.endsWith(`${scene.cast.records.invited}/entries`))
          throw new Error("an entry was sent")
        return freezing(request, send)
      }
    },
  },
  {
    name: "a record is frozen, and was accepted by another physician's leaf",
    code: "TAMPERED_LOG",
    step: home("shared", { device: "fresh" }),
    between: (scene) => frozen(scene, "shared", 7, acceptOf(scene, "shared", "cyd")),
  },
  {
    name: "a record is frozen, and was accepted by another record's leaf",
    code: "TAMPERED_LOG",
    step: home("shared", { device: "fresh" }),
    between: (scene) => frozen(scene, "shared", 7, acceptOf(scene, "other", "ben")),
  },
  {
    name: "a record that was accepted twice is frozen, and was accepted by the first leaf alone",
    code: "TAMPERED_ROLLBACK",
    step: home("invited", { device: "fresh" }),
    honest: { plant: acceptTwice },
    plant: acceptTwice,
    between: (scene) => frozen(scene, "invited", 2, acceptOf(scene, "invited", "ben", "first")),
  },
  {
    name: "a record was accepted by no leaf that the log has",
    code: "TAMPERED_LOG",
    step: home("shared", { device: "fresh" }),
    between: rewriting(feed, (answer) => {
      for (const { leaf } of answer.accepted ?? []) leaf.time += 1
    }),
  },
  {
    name: "a record of one's own is hidden whole, before anything is packed",
    code: "TAMPERED_ROLLBACK",
    step: home("own", { device: "fresh" }),
    between: hiddenWhole("own"),
  },
  {
    name: "a record that was accepted is hidden whole, before anything is packed",
    code: "TAMPERED_ROLLBACK",
    step: home("shared", { device: "fresh" }),
    between: hiddenWhole("shared"),
  },
  {
    name: "an entry passes for the leaf of another record's newest, which is withheld",
    code: "TAMPERED_ROLLBACK",
    step: home("shared", { device: "fresh" }),
    between: (scene) => {
      const { cast, world } = scene
      const withholding = withhold(scene, "shared", 7)
      const [hidden] = world.sql<{ leaf: number }>(
        "select leaf from entry where record = ? and seq = 7",
        cast.records.shared,
      )
      const posing = rewriting(feed, (answer) => {
        const last = entriesOf(answer).findLast(({ record: id }) => id === cast.records.own)
        if (last) last.leaf.index = hidden!.leaf
        entriesOf(answer).sort((x, y) => x.leaf.index - y.leaf.index)
      })()
      return (request, send) => posing(request, (passed) => withholding(passed, send))
    },
  },
  {
    name: "what is new lacks a record that this device has seen",
    code: "TAMPERED_ROLLBACK",
    step: home("own"),
    between: ({ cast }) =>
      rewriting(feed, (answer) => {
        answer.entries = entriesOf(answer).filter((entry) => entry.record !== cast.records.own)
      })(),
  },
  {
    name: "what is new holds an entry twice",
    code: "TAMPERED_LOG",
    step: home("shared"),
    between: rewriting(feed, (answer) => {
      entriesOf(answer).push(entriesOf(answer)[0]!)
    }),
  },
  {
    name: "what is new comes in another order",
    code: "TAMPERED_LOG",
    step: home("shared"),
    between: rewriting(feed, (answer) => {
      entriesOf(answer).reverse()
    }),
  },
  {
    name: "two entries in what is new change places, leaves and all",
    code: "TAMPERED_CHAIN",
    step: home("shared"),
    between: ({ cast }) =>
      rewriting(feed, (answer) => {
        const places = entriesOf(answer).flatMap(({ record: id }, i) => (id === cast.records.shared ? [i] : []))
        const [a, b] = places.slice(-2)
        if (a === undefined || b === undefined) return
        const entries = entriesOf(answer)
        const [one, two] = [entries[a]!, entries[b]!]
        entries[a] = { ...two, leaf: one.leaf }
        entries[b] = { ...one, leaf: two.leaf }
      })(),
  },
  {
    name: "a leaf in what is new says another time than was logged",
    code: "TAMPERED_LOG",
    step: home("shared"),
    between: ({ cast }) =>
      rewriting(feed, (answer) => {
        for (const { record: id, leaf } of entriesOf(answer)) if (id === cast.records.shared) leaf.time -= 86_400_000
      })(),
  },
]

/** ada writes in the record that ben is invited to; then ben accepts it, on another device. */
async function acceptLate({ accomplice, cast }: Scene): Promise<void> {
  const ada = await accomplice("ada")
  await diagnose(ada, "invited", cast.records.invited, "Penicillin allergy")
  const ben = await accomplice("ben")
  expect(await acceptInvitations(ben, [cast.records.invited], many)).toMatchObject({ done: 1 })
}

/** The same, after ben's roster was packed. */
async function packedAndAcceptedLate(scene: Scene): Promise<void> {
  await (await scene.accomplice("ben")).roster.fold(true)
  await acceptLate(scene)
}

/** ada adds cyd, and removes her, which gives a fresh key; then ben accepts, on another device. */
async function acceptAfterRemoval({ accomplice, cast: { ids, records } }: Scene): Promise<void> {
  const ada = await accomplice("ada")
  expect(refusalOf(await share(ada, [records.invited], "cyd", "reader", null, many))).toBeNull()
  await unshare(ada, records.invited, ids.cyd)
  const ben = await accomplice("ben")
  expect(await acceptInvitations(ben, [records.invited], many)).toMatchObject({ done: 1 })
}

/** ben accepts late, is removed, invited again, and accepts once more, on another device. */
async function acceptTwice(scene: Scene): Promise<void> {
  const { accomplice, cast } = scene
  await acceptLate(scene)
  const ada = await accomplice("ada")
  await unshare(ada, cast.records.invited, cast.ids.ben)
  expect(refusalOf(await share(ada, [cast.records.invited], "ben", "writer", null, many))).toBeNull()
  const ben = await accomplice("ben")
  expect(await acceptInvitations(ben, [cast.records.invited], many)).toMatchObject({ done: 1 })
}

/** A server that has lost every packed roster. */
const lostSegments: Between = async (request, send) =>
  request.path.startsWith("/api/segments") ? { status: 200, body: new Uint8Array(0) } : send(request)

type Accept = Omit<Required<WireAnswer>["accepted"][number], "record">

/** The leaf by which somebody accepted a record, the first or the last time. */
function acceptOf({ cast, world }: Scene, name: RecordName, who: Username, time: "first" | "last" = "last"): Accept {
  const leaves = world.sql<{ idx: number; number: number; time: number; salt: Uint8Array }>(
    "select idx, number, time, salt from leaf where subject = ? and type = 'accept' and actor = ? order by idx",
    cast.records[name],
    cast.ids[who],
  )
  const { idx, number, time: at, salt } = leaves.at(time === "first" ? 0 : -1)!
  return { number, leaf: { index: idx, time: at, salt: Buffer.from(salt).toString("base64url") } }
}

/** Shows a record as it was before entry `seq`, none of it in what is new, and tells of its being accepted in an answer that begins with
 * that very leaf, as if nothing before it had been owed. @param accept the leaf that passes for the accepting */
function frozen({ cast, world }: Scene, name: RecordName, seq: number, accept: Accept): Between {
  const id = cast.records[name]
  const at = accept.leaf.index
  const ofFeed = rewriting<FeedAnswer>(feed, (answer) => {
    const data = Buffer.from(answer.leaves.data, "base64url")
    const from = answer.next - data.length / leafDataBytes
    answer.entries = entriesOf(answer).filter(({ record: of }) => of !== id)
    answer.accepted = answer.accepted.filter(({ record: of }) => of !== id)
    if (from === at) answer.accepted.push({ record: id, ...accept })
    if (from >= at || answer.next <= at) return
    answer.entries = answer.entries.filter(({ leaf }) => leaf.index < at)
    answer.accepted = answer.accepted.filter(({ leaf }) => leaf.index < at)
    const size = Number(answer.log!.checkpoint.split("\n")[1])
    const right = rangesAfter(world, at, size)
    const shown = data.subarray(0, (at - from) * leafDataBytes).toString("base64url")
    answer.leaves = { ...answer.leaves, data: shown, right }
    Object.assign(answer, { next: at, more: true })
  })()
  const ofRecord = rewriting(new RegExp(`${id}/entries`), (answer) => cutOff(world, answer, seq))()
  return (request, send) => ofFeed(request, (passed) => ofRecord(passed, send))
}

type FeedAnswer = WireAnswer & Required<Pick<WireAnswer, "accepted" | "leaves" | "next">>

/** A server to which a record is none of the physician's. */
function hiddenWhole(name: RecordName): (scene: Scene) => Between {
  return ({ cast }) =>
    rewriting(feed, (answer) => {
      answer.entries = entriesOf(answer).filter(({ record: id }) => id !== cast.records[name])
      answer.accepted = (answer.accepted ?? []).filter(({ record: id }) => id !== cast.records[name])
    })()
}

/** Shows a record as it was before entry `seq`, in what is new and when it is read, with a true proof of the leaf before. */
export function withhold({ cast, world }: Scene, name: RecordName, seq: number): Between {
  const id = cast.records[name]
  const ofFeed = rewriting(feed, (answer) => drop(answer, id, seq))()
  const ofRecord = rewriting(new RegExp(`${id}/entries`), (answer) => cutOff(world, answer, seq))()
  return (request, send) => ofFeed(request, (passed) => ofRecord(passed, send))
}

/** Cuts a record before entry `seq`, from whichever entry on it is read, as it was then: with the summary that was the newest. */
function cutOff(world: World, answer: WireAnswer, seq: number): void {
  const shown = entriesOf(answer)
    .map((stored) => ({ stored, entry: parseEntry(parseBase64url(stored.statement)) }))
    .filter(({ entry }) => entry.seq < seq)
  const summed = shown.findLast(({ entry }) => entry.summary !== undefined)
  if (summed !== undefined) {
    const { entry, stored } = summed
    const [row] = world.sql<{ summary: Uint8Array }>(
      "select summary from entry where record = ? and seq = ?",
      entry.record,
      entry.seq,
    )
    stored.summary = Buffer.from(row!.summary).toString("base64url")
  }
  answer.entries = shown.map(({ stored }) => stored)
  const indexes = answer.entries.map(({ leaf }) => leaf.index)
  answer.inclusion = setProofOf(world, indexes, answer.log!.checkpoint)
}

function drop(answer: WireAnswer, record: string, seq: number): void {
  answer.entries = entriesOf(answer).filter((entry) => entry.record !== record || seqOf(entry) !== seq)
}

const seqOf = ({ statement }: WireEntry) => parseEntry(parseBase64url(statement)).seq
