import { expect } from "vitest"
import { acceptInvitations } from "../../src/client/invitations.ts"
import { leafDataBytes } from "../../src/proof/leaf.ts"
import type { Between } from "../practice.ts"
import type { Attack, Scene } from "./attack.ts"
import { diagnose, many, type RecordName } from "./cast.ts"
import { rangesAfter, setProofOf } from "./forge.ts"
import { entriesOf, rewriting, type WireAnswer } from "./rewriting.ts"
import { home, record } from "./steps.ts"
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
    between: frozenBeforeAccepting,
  },
  {
    name: "a record's newest entry is withheld from a device that had seen more of the log than of the record",
    code: "TAMPERED_ROLLBACK",
    step: home("invited"),
    honest: { plant: acceptLate },
    plant: acceptLate,
    between: frozenBeforeAccepting,
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

/** Shows the record as it was when ben was invited, and tells of his accepting it in an answer of its own, as if nothing before that had
 * been owed to him. */
function frozenBeforeAccepting({ cast, world }: Scene): Between {
  const id = cast.records.invited
  const [accepted] = world.sql<{ idx: number }>(
    "select max(idx) as idx from leaf where subject = ? and type = 'accept'",
    id,
  )
  const ofFeed = inTwo(world, accepted!.idx, (answer) => {
    answer.entries = entriesOf(answer).filter(({ record: of }) => of !== id)
  })
  const ofRecord = rewriting(new RegExp(`${id}/entries`), (answer) => cutOff(world, answer, 2))()
  return (request, send) => ofFeed(request, (passed) => ofRecord(passed, send))
}

/** A server to which a record is none of the physician's. */
function hiddenWhole(name: RecordName): (scene: Scene) => Between {
  return ({ cast }) =>
    rewriting(feed, (answer) => {
      answer.entries = entriesOf(answer).filter(({ record: id }) => id !== cast.records[name])
      answer.accepted = (answer.accepted ?? []).filter(({ record: id }) => id !== cast.records[name])
    })()
}

/** Gives what is new in two answers, of which the second begins with leaf `at`. @param change alters the first */
function inTwo(world: World, at: number, change: (answer: WireAnswer) => void): Between {
  return rewriting<FeedAnswer>(feed, (answer) => {
    const data = Buffer.from(answer.leaves.data, "base64url")
    const from = answer.next - data.length / leafDataBytes
    if (from >= at || answer.next <= at) return
    answer.entries = entriesOf(answer).filter(({ leaf }) => leaf.index < at)
    answer.accepted = (answer.accepted ?? []).filter(({ leaf }) => (typeof leaf === "number" ? leaf : leaf.index) < at)
    const size = Number(answer.log!.checkpoint.split("\n")[1])
    const right = rangesAfter(world, at, size)
    answer.leaves = {
      ...answer.leaves,
      data: data.subarray(0, (at - from) * leafDataBytes).toString("base64url"),
      right,
    }
    Object.assign(answer, { next: at, more: true })
    change(answer)
  })()
}

type FeedAnswer = WireAnswer & Required<Pick<WireAnswer, "leaves" | "next">>

/** Shows a record as it was before entry `seq`, in what is new and when it is read, with a true proof of the leaf before. */
export function withhold({ cast, world }: Scene, name: RecordName, seq: number): Between {
  const id = cast.records[name]
  const ofFeed = rewriting(feed, (answer) => drop(answer, id, seq))()
  const ofRecord = rewriting(new RegExp(`${id}/entries`), (answer) => cutOff(world, answer, seq))()
  return (request, send) => ofFeed(request, (passed) => ofRecord(passed, send))
}

function cutOff(world: World, answer: WireAnswer, seq: number): void {
  answer.entries = entriesOf(answer).slice(0, seq)
  const indexes = answer.entries.map(({ leaf }) => leaf.index)
  answer.inclusion = setProofOf(world, indexes, answer.log!.checkpoint)
}

/** Leaves out entry `seq` of a record that is read from its first entry on. */
function drop(answer: WireAnswer, record: string, seq: number): void {
  let at = -1
  answer.entries = entriesOf(answer).filter((entry) => entry.record !== record || ++at !== seq)
}
