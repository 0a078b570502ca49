import { createPrivateKey, createPublicKey, sign } from "node:crypto"
import { concat } from "../encoding/bytes.ts"
import { idFromBytes, type PhysicianId } from "../encoding/ids.ts"
import { fingerprintOf } from "./identity.ts"
import { asSealKey } from "./seal-key.fixture.ts"
import { type SignatureLabel, signedBytes } from "./signature.ts"
import type { Signed } from "./statement.ts"

/** A physician for tests: everything follows from one number. */
export interface TestPhysician {
  readonly id: PhysicianId
  readonly signKey: Uint8Array
  /** 1,216 B; nothing is sealed to it here. */
  readonly sealKey: Uint8Array
  readonly fingerprint: Uint8Array
  sign(label: SignatureLabel, statement: Uint8Array): Signed
}

/** @param n 0 … 255: fills the seed and the seal key, and sorts the ids. */
export function testPhysician(n: number): TestPhysician {
  const id = idFromBytes<"physician">(new Uint8Array(16).fill(n)) as PhysicianId
  const key = privateKey(new Uint8Array(32).fill(n))
  const signKey = new Uint8Array(createPublicKey(key).export({ type: "spki", format: "der" }).subarray(-32))
  const sealKey = asSealKey(new Uint8Array(1216).fill(n))
  return {
    id,
    signKey,
    sealKey,
    fingerprint: fingerprintOf(id, signKey, sealKey),
    sign: (label, statement) => ({
      statement,
      signature: new Uint8Array(sign(null, signedBytes(label, statement), key)),
    }),
  }
}

/** An Ed25519 seed in PKCS#8 (RFC 8410 §7). */
function privateKey(seed: Uint8Array) {
  const header = Buffer.from("302e020100300506032b657004220420", "hex")
  return createPrivateKey({ key: Buffer.from(concat(header, seed)), format: "der", type: "pkcs8" })
}
