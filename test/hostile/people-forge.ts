import { concat } from "../../src/encoding/bytes.ts"
import { newId, type PhysicianId, type SessionId } from "../../src/encoding/ids.ts"
import { encodeIdentity, type Identity, type IdentityStatement, parseIdentity } from "../../src/proof/identity.ts"
import type { Signed } from "../../src/proof/statement.ts"
import { newSecretKey } from "../../src/vault/keys.ts"
import { newSealingKeys } from "../../src/vault/sealing-keys.ts"
import { importSigner, type Signer } from "../../src/vault/signer.ts"
import type { Between } from "../practice.ts"
import type { Scene } from "./attack.ts"
import type { Username } from "./cast.ts"
import { inclusionOf } from "./forge.ts"
import { rewriting, type WireAnswer } from "./rewriting.ts"

/** Keys that somebody has just made. */
export interface FreshKeys {
  readonly signer: Signer
  readonly statement: Pick<IdentityStatement, "signKey" | "sealKey">
}

export async function freshKeys(): Promise<FreshKeys> {
  const signer = await importSigner(newSecretKey<"signing">())
  return { signer, statement: { signKey: signer.publicKey, sealKey: (await newSealingKeys()).publicKey } }
}

/** What is signed as a physician's next identity, by one key or by two. @param change what it says other than the one before */
export async function nextIdentity(
  { hash, fingerprint: _, ...before }: Identity,
  change: Partial<IdentityStatement>,
  ...signers: readonly Signer[]
): Promise<Signed> {
  return signIdentity({ ...before, seq: before.seq + 1, prev: hash, time: Date.now(), ...change }, ...signers)
}

/** A whole identity that nobody vouches for but its own key. */
export async function selfSigned(physician: PhysicianId, username: string): Promise<Signed> {
  const { signer, statement } = await freshKeys()
  const unlocks = [
    { method: "password", generation: 0, hash: new Uint8Array(32) },
    { method: "recovery", generation: 0, hash: new Uint8Array(32) },
  ]
  return signIdentity({ v: 1, suite: "F1", physician, seq: 0, username, ...statement, unlocks, time: 1 }, signer)
}

export async function signIdentity(said: IdentityStatement, ...signers: readonly Signer[]): Promise<Signed> {
  const statement = encodeIdentity(said)
  return { statement, signature: concat(...(await Promise.all(signers.map((one) => one.sign("identity", statement))))) }
}

/** Puts a statement at the end of a physician's identities, with its leaf, past every check of the server's. */
export async function plantIdentity(
  { world }: Pick<Scene, "world">,
  physician: PhysicianId,
  signed: Signed,
): Promise<void> {
  const { seq } = parseIdentity(signed.statement)
  const session = newId<"session">() as SessionId
  await world.store.replaceUnlocks({ physician, identity: signed, seq, session, since: 0 })
}

/** Puts a statement in the place of a physician's first identity, with a leaf of its own. */
export async function plantFirstIdentity(scene: Scene, physician: PhysicianId, signed: Signed): Promise<void> {
  const { world } = scene
  world.sql("update identity set seq = -1 where physician = ? and seq = 0", physician)
  world.sql("update leaf set number = -1 where subject = ? and stream = 'identity' and number = 0", physician)
  await plantIdentity(scene, physician, signed)
  world.sql("delete from identity where physician = ? and seq = -1", physician)
}

/** A physician changes their keys as they should: signed by the new key and by the one before. */
export async function changeKeys(scene: Pick<Scene, "world" | "accomplice">, username: Username): Promise<void> {
  const { session } = await scene.accomplice(username)
  const { signer, statement } = await freshKeys()
  const signed = await nextIdentity(session.identity, statement, signer, session.signer)
  await plantIdentity(scene, session.physician, signed)
}

/** A colleague's chain as it travels. */
export interface WireIdentity extends WireAnswer {
  identity: { statement: string; signature: string }[]
  leaf: { index: number; time: number; salt: string }
}

/** Shows a physician's identities up to one that is not the newest, with the true proof of that one's leaf. */
export function cutIdentity({ world, cast }: Scene, username: Username, count: number): Between {
  const physician = cast.ids[username]
  return rewriting<WireIdentity>(pathOf(physician, username), (answer) => {
    const [leaf] = world.sql<{ idx: number; time: number; salt: Uint8Array }>(
      "select idx, time, salt from leaf where subject = ? and stream = 'identity' and number = ?",
      physician,
      count - 1,
    )
    answer.identity = answer.identity.slice(0, count)
    answer.leaf = { index: leaf!.idx, time: leaf!.time, salt: Buffer.from(leaf!.salt).toString("base64url") }
    answer.inclusion = inclusionOf(world, leaf!.idx, answer.log!.checkpoint)
  })()
}

/** Where a physician's identities are asked for: by username, and by id. */
export function pathOf(physician: PhysicianId, username: Username): RegExp {
  return new RegExp(`^/api/(usernames/${username}|physicians/${physician})\\b`)
}
