import { describe, expect, it } from "vitest"
import { sha256 } from "#sha256"
import { concat, utf8 } from "../encoding/bytes.ts"
import { context } from "../encoding/context.ts"
import { idBytes } from "../encoding/ids.ts"
import {
  encodeIdentity,
  fingerprintOf,
  type IdentityStatement,
  parseIdentity,
  verifyIdentity,
  verifyIdentityChain,
} from "./identity.ts"
import { type TestPhysician, testPhysician } from "./physician.fixture.ts"
import { type Signed, statementHash } from "./statement.ts"

const ada = testPhysician(1)
const eve = testPhysician(2)

function statement(change: Partial<IdentityStatement> = {}): IdentityStatement {
  return {
    v: 1,
    suite: "F1",
    physician: ada.id,
    seq: 0,
    username: "ada.byron",
    signKey: ada.signKey,
    sealKey: ada.sealKey,
    unlocks: [
      { method: "password", generation: 0, hash: sha256(utf8("one")) },
      { method: "recovery", generation: 0, hash: sha256(utf8("two")) },
    ],
    time: 1_795_425_240_000,
    ...change,
  }
}

const signed = (said: IdentityStatement, by: TestPhysician = ada) => by.sign("identity", encodeIdentity(said))
const first = signed(statement())
const next = (change: Partial<IdentityStatement> = {}) =>
  statement({ seq: 1, prev: statementHash(first.statement), ...change })

/** Both keys' signatures, the new one's first. */
function signedByBoth(said: IdentityStatement, newer: TestPhysician, older: TestPhysician): Signed {
  const bytes = encodeIdentity(said)
  const signature = concat(newer.sign("identity", bytes).signature, older.sign("identity", bytes).signature)
  return { statement: bytes, signature }
}

describe("an identity", () => {
  it("verifies, and is named by a fingerprint of physician and keys", async () => {
    const identity = await verifyIdentity(null, first)
    expect(identity).toMatchObject(statement())
    expect(identity.hash).toEqual(statementHash(first.statement))
    const expected = sha256(context("fingerprint", idBytes(ada.id), ada.signKey, ada.sealKey))
    expect(identity.fingerprint).toEqual(expected)
    for (const [id, signKey, sealKey] of [
      [eve.id, ada.signKey, ada.sealKey],
      [ada.id, eve.signKey, ada.sealKey],
      [ada.id, ada.signKey, eve.sealKey],
    ] as const)
      expect(fingerprintOf(id, signKey, sealKey)).not.toEqual(expected)
  })

  it("follows the one before it: other ways to unlock, other keys", async () => {
    const unlocks = [{ method: "password", generation: 1, hash: sha256(utf8("new")) }]
    const second = signed(next({ unlocks }))
    const moved = next({ seq: 2, prev: statementHash(second.statement), signKey: eve.signKey, sealKey: eve.sealKey })
    const chain = [first, second, signedByBoth(moved, eve, ada)]
    expect((await verifyIdentityChain(chain.slice(0, 2))).unlocks).toEqual(unlocks)
    expect((await verifyIdentityChain(chain)).signKey).toEqual(eve.signKey)
    await expect(verifyIdentityChain(chain.slice(1))).rejects.toMatchObject({ code: "TAMPERED_IDENTITY" })
    await expect(verifyIdentityChain([])).rejects.toMatchObject({ code: "TAMPERED_IDENTITY" })
  })

  it.each<[string, Partial<IdentityStatement>]>([
    ["begins anew", { seq: 0 }],
    ["skips a number", { seq: 2 }],
    ["names another before it", { prev: sha256(utf8("other")) }],
    ["is another physician's", { physician: eve.id }],
    ["changes the username", { username: "eve" }],
    ["lists a method twice", { unlocks: [statement().unlocks[0]!, { ...statement().unlocks[0]!, generation: 1 }] }],
  ])("is refused when it %s", async (_, change) => {
    await expect(verifyIdentityChain([first, signed(next(change))])).rejects.toMatchObject({
      code: "TAMPERED_IDENTITY",
    })
  })

  it("is refused as the first when it names one before it or a number above 0", async () => {
    for (const change of [{ prev: sha256(utf8("x")) }, { seq: 1 }])
      await expect(verifyIdentity(null, signed(statement(change)))).rejects.toMatchObject({ code: "TAMPERED_IDENTITY" })
    const { prev: _, ...noPrev } = next()
    await expect(verifyIdentityChain([first, signed(noPrev)])).rejects.toMatchObject({ code: "TAMPERED_IDENTITY" })
  })

  it("needs its own key's signature, and the old key's where the key changed", async () => {
    const moved = next({ signKey: eve.signKey })
    const forged: Signed[] = [
      signed(next(), eve),
      signed(moved, eve),
      signed(moved, ada),
      signedByBoth(moved, ada, eve),
      signedByBoth(moved, eve, eve),
      signedByBoth(next(), ada, ada),
      { ...signed(next()), signature: new Uint8Array(0) },
      { ...signed(next()), signature: new Uint8Array(64) },
      ada.sign("entry", encodeIdentity(next())),
    ]
    for (const one of forged)
      await expect(verifyIdentityChain([first, one])).rejects.toMatchObject({ code: "TAMPERED_SIGNATURE" })
    await expect(verifyIdentity(null, signed(statement(), eve))).rejects.toMatchObject({ code: "TAMPERED_SIGNATURE" })
  })

  it("takes in no key of small order", async () => {
    const weak = statement({ signKey: new Uint8Array(32).with(0, 1) })
    await expect(verifyIdentity(null, signed(weak))).rejects.toMatchObject({ code: "BAD_INPUT_STATEMENT" })
  })

  it("has no other fields, lengths, methods or names", () => {
    const wrong: object[] = [
      { suite: "F2" },
      { v: 2 },
      { username: "Ada" },
      { username: "ab" },
      { unlocks: [] },
      { unlocks: [{ ...statement().unlocks[0]!, method: "email" }] },
      { signKey: ada.signKey.subarray(1) },
      { sealKey: ada.sealKey.subarray(1) },
      { time: -1 },
    ]
    for (const change of wrong)
      expect(() => encodeIdentity({ ...statement(), ...change } as IdentityStatement)).toThrow(
        expect.objectContaining({ code: "BAD_INPUT_STATEMENT" }),
      )
    expect(() => parseIdentity(utf8("{}"))).toThrow(expect.objectContaining({ code: "BAD_INPUT_STATEMENT" }))
  })
})
