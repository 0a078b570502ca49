import type { Attack, Scene } from "./attack.ts"
import type { RecordName, Username } from "./cast.ts"
import { entriesOf, rewriting } from "./rewriting.ts"
import { home, record } from "./steps.ts"

/** Sealed things that stand where another one belongs. */
export const tokens: readonly Attack[] = [
  {
    name: "two bodies of one record change places",
    code: "TAMPERED_TOKEN",
    step: record("shared"),
    between: rewriting(/\/entries\?/, (answer) => {
      const [a, b] = [entriesOf(answer)[3]!, entriesOf(answer)[6]!]
      ;[a.body, b.body] = [b.body!, a.body!]
    }),
  },
  {
    name: "two summaries of one record change places",
    code: "TAMPERED_TOKEN",
    step: home("shared"),
    plant: ({ cast, world }) => {
      const summaries = world.sql<{ seq: number; summary: Uint8Array }>(
        "select seq, summary from entry where record = ? and seq in (6, 7) order by seq desc",
        cast.records.shared,
      )
      summaries.forEach(({ summary }, i) => {
        world.sql("update entry set summary = ? where record = ? and seq = ?", summary, cast.records.shared, 6 + i)
      })
    },
  },
  {
    name: "the bodies of two records change places",
    code: "TAMPERED_TOKEN",
    step: record("shared"),
    plant: exchange("body", ["shared", 3], ["other", 2]),
  },
  {
    name: "the summaries of two records change places",
    code: "TAMPERED_TOKEN",
    step: home("own"),
    plant: exchange("summary", ["own", 1], ["other", 2]),
  },
  {
    name: "a body is left out",
    code: "TAMPERED_TOKEN",
    step: record("shared"),
    between: rewriting(/\/entries\?/, (answer) => {
      delete entriesOf(answer)[3]!.body
    }),
  },
  {
    name: "a self-grant is the one of another record",
    code: "CANNOT_OPEN",
    step: home("own", { device: "fresh" }),
    plant: giveSelfGrant("own", 0, "ben", "other", 0),
  },
  {
    name: "a self-grant is the one of another epoch",
    code: "CANNOT_OPEN",
    step: home("shared"),
    plant: giveSelfGrant("shared", 1, "ben", "shared", 0),
  },
  {
    name: "a self-grant is another physician's",
    code: "CANNOT_OPEN",
    step: home("shared"),
    plant: giveSelfGrant("shared", 0, "cyd", "shared", 0),
  },
  {
    name: "the keyring is another physician's",
    code: "TAMPERED_IDENTITY",
    step: home("shared"),
    plant: exchangeOf("keyring"),
  },
  {
    name: "the profile is another physician's",
    code: "TAMPERED_IDENTITY",
    step: home("shared"),
    plant: exchangeOf("profile"),
  },
]

type Place = readonly [record: RecordName, seq: number]

/** Two tokens change places in the database. */
function exchange(column: "body" | "summary", ...places: readonly [Place, Place]) {
  return ({ cast, world }: Scene): void => {
    const read = ([name, seq]: Place) =>
      world.sql<{ token: Uint8Array }>(
        `select ${column} as token from entry where record = ? and seq = ?`,
        cast.records[name],
        seq,
      )[0]!.token
    const [a, b] = places
    const write = ([name, seq]: Place, token: Uint8Array) =>
      world.sql(`update entry set ${column} = ? where record = ? and seq = ?`, token, cast.records[name], seq)
    const [ofA, ofB] = [read(a), read(b)]
    write(a, ofB)
    write(b, ofA)
  }
}

/** In the place of ben's own for a record and epoch stands another. */
function giveSelfGrant(name: RecordName, epoch: number, whose: Username, from: RecordName, fromEpoch: number) {
  return ({ cast: { ids, records }, world }: Scene): void => {
    const [other] = world.sql<{ token: Uint8Array }>(
      "select token from self_grant where physician = ? and record = ? and epoch = ?",
      ids[whose],
      records[from],
      fromEpoch,
    )
    const changed = world.sql(
      "update self_grant set token = ? where physician = ? and record = ? and epoch = ? returning epoch",
      other!.token,
      ids.ben,
      records[name],
      epoch,
    )
    if (changed.length === 0) throw new Error("ben has no self-grant there")
  }
}

/** Ben gets ada's, with her statement, as of the very number that is his own. */
function exchangeOf(part: "keyring" | "profile") {
  return ({ cast: { ids }, world }: Scene): void => {
    for (const column of [part, `${part}_statement`, `${part}_signature`])
      world.sql(
        `update physician set ${column} = (select ${column} from physician where id = ?) where id = ?`,
        ids.ada,
        ids.ben,
      )
  }
}
