import { leafHash } from "../../src/proof/merkle.ts"
import type { Between } from "../practice.ts"
import type { Attack, Scene } from "./attack.ts"
import type { RecordName } from "./cast.ts"
import { inclusionOf } from "./forge.ts"
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
    name: "a record's newest entry is withheld, and the record passes for accepted after it",
    code: "TAMPERED_ROLLBACK",
    step: home("shared", { device: "fresh" }),
    between: (scene) => {
      const withholding = withhold(scene, "shared", 7)
      // In two answers, of which the second says of everything before that it was not owed.
      const inTwo = rewriting<FeedAnswer>(feed, (answer) => {
        const last = answer.next - 1
        if (answer.leaves.data.length < 128) answer.accepted = [{ record: scene.cast.records.shared, leaf: last }]
        else {
          const leaves = Buffer.from(answer.leaves.data, "base64url")
          answer.entries = entriesOf(answer).filter(({ leaf }) => leaf.index < last)
          const right = Buffer.from(leafHash(leaves.subarray(-64))).toString("base64url")
          answer.leaves = { ...answer.leaves, data: leaves.subarray(0, -64).toString("base64url"), right }
          Object.assign(answer, { next: last, more: true })
        }
      })()
      return (request, send) => inTwo(request, (passed) => withholding(passed, send))
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
  const last = answer.entries.at(-1)
  if (last) answer.inclusion = inclusionOf(world, last.leaf.index, answer.log!.checkpoint)
}

/** Leaves out entry `seq` of a record that is read from its first entry on. */
function drop(answer: WireAnswer, record: string, seq: number): void {
  let at = -1
  answer.entries = entriesOf(answer).filter((entry) => entry.record !== record || ++at !== seq)
}
