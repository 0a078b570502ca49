import { expect, it } from "vitest"
import { sha256 } from "#sha256"
import { context } from "../encoding/context.ts"
import { idBytes, idFromBytes } from "../encoding/ids.ts"
import { type Leaf, leafData } from "./leaf.ts"

const leaf: Leaf = {
  subject: idFromBytes(new Uint8Array(16).fill(1)),
  stream: "entry",
  number: 7,
  type: "entry",
  time: 1_795_425_240_000,
  actor: idFromBytes(new Uint8Array(16).fill(2)),
  statementHash: new Uint8Array(32).fill(3),
  salt: new Uint8Array(16).fill(4),
}
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

it("is a tag of subject, stream and number, and a salted hash of everything", () => {
  const data = leafData(leaf)
  expect(data).toHaveLength(64)
  const [subject, actor] = [idBytes(leaf.subject), idBytes(leaf.actor)]
  expect(data.subarray(0, 32)).toEqual(sha256(context("leaf-tag", subject, "entry", 7)))
  expect(data.subarray(32)).toEqual(
    sha256(context("leaf", leaf.salt, "entry", leaf.time, actor, subject, 7, leaf.statementHash)),
  )
})

it.each<[keyof Leaf, Partial<Leaf>, tagChanges: boolean]>([
  ["subject", { subject: leaf.actor }, true],
  ["stream", { stream: "keyring" }, true],
  ["number", { number: 8 }, true],
  ["type", { type: "read" }, false],
  ["time", { time: leaf.time + 1 }, false],
  ["actor", { actor: leaf.subject }, false],
  ["statementHash", { statementHash: leaf.salt }, false],
  ["salt", { salt: new Uint8Array(16) }, false],
])("differs by %s", (_, change, tagChanges) => {
  const [old, changed] = [leafData(leaf), leafData({ ...leaf, ...change })]
  expect(hex(changed)).not.toBe(hex(old))
  expect(hex(changed.subarray(0, 32)) !== hex(old.subarray(0, 32))).toBe(tagChanges)
})
