import { z } from "zod"
import { encodeCbor, parseCbor } from "../encoding/cbor.ts"
import {
  type DeviceId,
  isId,
  type PhysicianId,
  type PracticeId,
  type RecordId,
  type SegmentId,
} from "../encoding/ids.ts"
import { demandKnownVersion, unreadable } from "../encoding/sealed-version.ts"
import { AppError } from "../errors.ts"
import { anyBytes, bytesOf, count, moment } from "../proof/statement.ts"
import type { PhysicianKey } from "./keys.ts"
import { keyringPlace } from "./places.ts"
import { open, seal } from "./seal.ts"

const schema = z.strictObject({
  v: z.literal(2),
  signSeed: bytesOf(32),
  sealSeed: bytesOf(32),
  sealKey: bytesOf(1216),
  practice: z.strictObject({
    id: z.custom<PracticeId>(isId),
    origin: z.string(),
    logKey: bytesOf(32),
    opaqueKey: z.string(),
  }),
  /** The restores that this physician confirmed, oldest first: how the practice's first log led to the one named above. */
  successions: z
    .array(z.strictObject({ statement: anyBytes, signature: bytesOf(64) }))
    .max(1024)
    .optional(),
  /** What any device of this physician has seen; only grows. */
  seen: z.strictObject({ size: count, root: anyBytes, identity: count }),
  roster: z.strictObject({
    /** The current segments in the order they apply; any other is refused. */
    segments: z.array(z.strictObject({ id: z.custom<SegmentId>(isId), hash: bytesOf(32), records: count })).max(4096),
    /** The roster holds every change before this leaf index. */
    complete: count,
  }),
  /** All records as they stood before a leaf of the log: a device that begins anew must be shown no less. See client/bound.ts. */
  bound: z.strictObject({
    leaf: count,
    /** Records without an end. A keyring of version 1 does not tell how many. */
    count: count.optional(),
    digest: bytesOf(32),
    /** The heads of records that no segment holds as they were then. */
    loose: z.array(z.strictObject({ id: z.custom<RecordId>(isId), seq: count, hash: bytesOf(32) })).max(4096),
    /** Records that end some day, by that day. */
    ending: z.array(z.strictObject({ until: moment, count, digest: bytesOf(32) })).max(4096),
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

/** What versions 0.1 and 0.2 wrote: the digest of all heads lies with the roster, and is as old as that. */
const version1 = schema
  .omit({ bound: true })
  .extend({ v: z.literal(1), roster: schema.shape.roster.extend({ digest: bytesOf(32) }) })
  .transform(
    ({ roster: { segments, complete, digest }, ...rest }): Keyring => ({
      ...rest,
      v: 2,
      roster: { segments, complete },
      bound: { leaf: complete, digest, loose: [], ending: [] },
    }),
  )

const maxBytes = 1024 * 1024
const newestVersion = 2

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

/** @throws CANNOT_OPEN; UNAVAILABLE_UPDATE for one that a newer version of this program sealed */
export async function openKeyring(
  key: PhysicianKey,
  physician: PhysicianId,
  number: number,
  token: Uint8Array,
): Promise<Keyring> {
  const content = await open(key, keyringPlace(physician, number), token)
  try {
    const keyring = parseCbor(content, maxBytes)
    demandKnownVersion(keyring, newestVersion)
    return z.union([schema, version1]).parse(keyring)
  } catch (cause) {
    throw unreadable(cause)
  }
}
