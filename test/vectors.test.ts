import { existsSync } from "node:fs"
import { readdir, readFile } from "node:fs/promises"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { engines, type RunningEngine, type SuiteName } from "./vectors/engines.ts"
import type { SignatureFile } from "./vectors/files.ts"
import * as published from "./vectors/published.ts"
import type { Outcome } from "./vectors/suites.ts"

const folder = join(resolve(import.meta.dirname, "..", process.env.HEALTHCRYPT_SHARED ?? "../shared"), "data/vectors")

/** Which file runs as which suite, and how many of its cases are [valid, invalid]. None of them is "acceptable": a case that is
 * neither valid nor invalid fails the run, so that it is decided by name. */
const files: readonly {
  readonly path: string
  readonly suite: SuiteName
  readonly counts: readonly [number, number]
}[] = [
  // github.com/fernet/spec at 20dead4
  { path: "fernet/generate.json", suite: "fernetGenerate", counts: [1, 0] },
  { path: "fernet/verify.json", suite: "fernetVerify", counts: [1, 0] },
  { path: "fernet/invalid.json", suite: "fernetInvalid", counts: [0, 8] },
  // github.com/C2SP/wycheproof at dac1dd4, testvectors_v1
  { path: "wycheproof/hmac_sha256_test.json", suite: "hmac", counts: [66, 108] },
  { path: "wycheproof/hkdf_sha256_test.json", suite: "hkdf", counts: [83, 3] },
  { path: "wycheproof/ed25519_test.json", suite: "ed25519", counts: [88, 63] },
  // its 128-bit group: 72 of the 216
  // github.com/dconnolly/draft-connolly-cfrg-xwing-kem at 9b6ce9e: 3 cases, each taken five ways
  { path: "xwing/test-vectors.json", suite: "xwing", counts: [6, 9] },
  { path: "wycheproof/aes_cbc_pkcs5_test.json", suite: "aesCbc", counts: [24, 48] },
]

describe.each(engines)("published vectors on $name", ({ name, open }) => {
  let engine: RunningEngine
  beforeAll(async () => {
    engine = await open()
  }, 600_000)
  afterAll(() => engine?.close())

  it("runs where it says it does", async () => {
    expect(await engine.platform()).toContain(name === "Node" ? "Node v" : "Chrome/")
  })

  describe.skipIf(!existsSync(folder))("from the shared folder", () => {
    it.each(files)("$path: $counts.0 valid, $counts.1 invalid", async ({ path, suite, counts }) => {
      hold(await engine.run(suite, await readJson(join(folder, path))), counts)
    })

    it("takes in the 78 public keys of wycheproof/ed25519_test.json", async () => {
      const { testGroups } = (await readJson(join(folder, "wycheproof/ed25519_test.json"))) as SignatureFile
      const keys = testGroups.map((group) => ({ pk: group.publicKey.pk, result: "valid" }))
      hold(await engine.run("publicKeys", keys), [78, 0])
    })

    // github.com/transparency-dev/merkle at 417fb0c
    it("merkle/inclusion: 6 good proofs, 92 bad", async () => {
      const root = join(folder, "merkle/inclusion")
      const names = (await readdir(root, { recursive: true })).filter((file) => file.endsWith(".json")).sort()
      hold(await engine.run("inclusion", await Promise.all(names.map((file) => readJson(join(root, file))))), [6, 92])
    })
  })

  it("RFC 4231, HMAC-SHA256", async () => hold(await engine.run("hmac", published.hmac), [4, 0]))
  it("RFC 5869 A.1, HKDF-SHA256", async () => hold(await engine.run("hkdf", published.hkdf), [1, 0]))
  it("RFC 8032 §7.1, Ed25519", async () => hold(await engine.run("ed25519", published.ed25519), [3, 1]))
  it("takes in no public key of small order", async () => {
    hold(await engine.run("publicKeys", published.smallOrderKeys), [0, 14])
  })
  it("the Fernet specification's generate", async () => {
    hold(await engine.run("fernetGenerate", published.fernet), [1, 0])
    hold(await engine.run("fernetVerify", published.fernet), [1, 0])
  })
})

/** Every outcome is the demanded one, and there are exactly so many of each. */
function hold(outcomes: readonly Outcome[], [valid, invalid]: readonly [number, number]): void {
  expect(outcomes.filter((outcome) => outcome.actual !== outcome.expected)).toEqual([])
  expect(outcomes.filter((outcome) => outcome.expected === "valid")).toHaveLength(valid)
  expect(outcomes.filter((outcome) => outcome.expected === "invalid")).toHaveLength(invalid)
}

async function readJson(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, "utf8"))
}
