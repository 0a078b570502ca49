import { z } from "zod"
import { encodeCbor, parseCbor } from "../encoding/cbor.ts"
import { type DeviceId, isId, type PhysicianId, type PracticeId, type SegmentId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { anyBytes, bytesOf, count } from "../proof/statement.ts"
import type { PhysicianKey } from "./keys.ts"
import { keyringPlace } from "./places.ts"
import { open, seal } from "./seal.ts"

const schema = z.strictObject({
  v: z.literal(1),
  signSeed: bytesOf(32),
  sealSeed: bytesOf(32),
  sealKey: bytesOf(1216),
  practice: z.strictObject({
    id: z.custom<PracticeId>(isId),
    origin: z.string(),
    logKey: bytesOf(32),
    opaqueKey: z.string(),
  }),
  /** What any device of this physician has seen; only grows. */
  seen: z.strictObject({ size: count, root: anyBytes, identity: count }),
  roster: z.strictObject({
    /** The current segments in the order they apply; any other is refused. */
    segments: z.array(z.strictObject({ id: z.custom<SegmentId>(isId), hash: bytesOf(32), records: count })).max(4096),
    /** The roster holds every change before this leaf index. */
    complete: count,
    /** All heads as they stood then, in one hash: what a rebuilt roster is held against. See `digestHeads`. */
    digest: bytesOf(32),
  }),
  /** Whom this physician verified, and with which keys. `changed`: has other keys since, and counts for nothing until verified again. */
  colleagues: z
    .array(
      z.strictObject({
        physician: z.custom<PhysicianId>(isId),
        username: z.string(),
        /** What they call themself, as last heard; may be empty. */
        name: z.string(),
        fingerprint: bytesOf(32),
        /** The newest identity statement that was seen of them: later chains have to go on from it. */
        identity: z.strictObject({ seq: count, hash: bytesOf(32) }),
        state: z.enum(["verified", "changed"]),
        time: count,
        how: z.enum(["digits", "code"]),
      }),
    )
    .max(1000)
    .default([]),
  /** Where this physician has signed in, as each device calls itself. */
  devices: z
    .array(z.strictObject({ id: z.custom<DeviceId>(isId), label: z.string().max(200), since: count }))
    .max(100)
    .default([]),
  settings: z.strictObject({ idleMinutes: z.int().min(1).max(15), wordsConfirmed: z.boolean() }),
})

/** What only the physician knows: secret seeds, the practice as first met, pins, the roster's segments, settings. */
export type Keyring = z.output<typeof schema>
export type KnownColleague = Keyring["colleagues"][number]

const maxBytes = 1024 * 1024

/** Seals a keyring under its number, which goes into the key.
 * @throws BAD_INPUT_SIZE for one that would not open again: the physician's account lies in it */
export async function sealKeyring(
  key: PhysicianKey,
  physician: PhysicianId,
  number: number,
  keyring: Keyring,
): Promise<Uint8Array<ArrayBuffer>> {
  const content = encodeCbor(keyring)
  if (content.length > maxBytes || !schema.safeParse(keyring).success) throw new AppError("BAD_INPUT_SIZE")
  return seal(key, keyringPlace(physician, number), content)
}

/** @throws CANNOT_OPEN */
export async function openKeyring(
  key: PhysicianKey,
  physician: PhysicianId,
  number: number,
  token: Uint8Array,
): Promise<Keyring> {
  const content = await open(key, keyringPlace(physician, number), token)
  try {
    return schema.parse(parseCbor(content, maxBytes))
  } catch (cause) {
    throw new AppError("CANNOT_OPEN", undefined, { cause })
  }
}
