import { z } from "zod"
import { sha256 } from "#sha256"
import { equal } from "../encoding/bytes.ts"
import { context } from "../encoding/context.ts"
import { idBytes, type PhysicianId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { checkSealKey } from "./seal-key.ts"
import { checkPublicKey, verifyStatement } from "./signature.ts"
import {
  bytesOf,
  count,
  encodeStatement,
  idOf,
  moment,
  parseStatement,
  type Signed,
  statementHash,
} from "./statement.ts"

export const usernamePattern = /^[a-z0-9._-]{3,64}$/

const unlock = z.strictObject({
  method: z.string().regex(/^(password|recovery|passkey:[A-Za-z0-9_-]{1,512})$/),
  generation: count,
  hash: bytesOf(32),
})

const schema = z.strictObject({
  v: z.literal(1),
  suite: z.literal("F1"),
  physician: idOf<"physician">(),
  seq: count,
  prev: bytesOf(32).optional(),
  username: z.string().regex(usernamePattern),
  signKey: bytesOf(32),
  sealKey: bytesOf(1216),
  unlocks: z.array(unlock).min(1).max(64),
  time: moment,
})

/** What a physician says of themself: keys, and every way to unlock with the hash of what it opens. Format: docs/formats/identity.md */
export type IdentityStatement = z.output<typeof schema>
export type Unlock = z.output<typeof unlock>

export interface Identity extends IdentityStatement {
  readonly hash: Uint8Array
  readonly fingerprint: Uint8Array
}

export function encodeIdentity(statement: IdentityStatement): Uint8Array<ArrayBuffer> {
  return encodeStatement(schema, statement)
}

/** Reads an identity without verifying it: for showing what a refused one said, and for the author's own bytes. */
export function parseIdentity(statement: Uint8Array): IdentityStatement {
  return parseStatement(schema, statement)
}

/** SHA-256(CTX(fingerprint, physician, signKey, sealKey)), 32 B: names a physician's keys. */
export function fingerprintOf(
  physician: PhysicianId,
  signKey: Uint8Array,
  sealKey: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return sha256(context("fingerprint", idBytes(physician), signKey, sealKey))
}

/** Verifies the next identity of a chain: its own signature and, where the key changed, one by the key before.
 * @param before the identity it follows, `null` for seq 0.
 * @throws BAD_INPUT_STATEMENT, TAMPERED_IDENTITY, TAMPERED_SIGNATURE */
export async function verifyIdentity(before: Identity | null, signed: Signed): Promise<Identity> {
  const next = parseIdentity(signed.statement)
  const follows =
    before === null
      ? next.seq === 0 && next.prev === undefined
      : next.seq === before.seq + 1 &&
        next.prev !== undefined &&
        equal(next.prev, before.hash) &&
        next.physician === before.physician &&
        next.username === before.username
  const methods = next.unlocks.map((item) => item.method)
  if (!follows || new Set(methods).size !== methods.length) throw new AppError("TAMPERED_IDENTITY")
  const changed = before !== null && !equal(before.signKey, next.signKey)
  if (before === null || changed) checkPublicKey(next.signKey)
  if (before === null || !equal(before.sealKey, next.sealKey)) checkSealKey(next.sealKey)
  if (signed.signature.length !== (changed ? 128 : 64)) throw new AppError("TAMPERED_SIGNATURE")
  await verifyStatement("identity", next.signKey, signed.statement, signed.signature.subarray(0, 64))
  if (changed) await verifyStatement("identity", before.signKey, signed.statement, signed.signature.subarray(64))
  return {
    ...next,
    hash: statementHash(signed.statement),
    fingerprint: fingerprintOf(next.physician, next.signKey, next.sealKey),
  }
}

/** Verifies a whole chain from seq 0. @returns its newest identity. @throws as {@link verifyIdentity}; TAMPERED_IDENTITY when empty */
export async function verifyIdentityChain(chain: readonly Signed[]): Promise<Identity> {
  let identity: Identity | null = null
  for (const signed of chain) identity = await verifyIdentity(identity, signed)
  if (identity === null) throw new AppError("TAMPERED_IDENTITY")
  return identity
}
