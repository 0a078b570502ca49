import { expect, it } from "vitest"
import { newSealingKeys } from "./sealing-keys.ts"

it("makes an X-Wing seed of 32 bytes and its public key of 1,216, fresh each time", async () => {
  const [one, other] = [await newSealingKeys(), await newSealingKeys()]
  expect([one.seed.length, one.publicKey.length]).toEqual([32, 1216])
  expect(one.seed).not.toEqual(other.seed)
  expect(one.publicKey).not.toEqual(other.publicKey)
})
