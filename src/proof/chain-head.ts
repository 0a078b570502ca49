import { z } from "zod"
import { encodeBase64url, parseBase64url } from "../encoding/base64.ts"
import { isId, type PhysicianId, type RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { ChainHead } from "./chain.ts"
import { anyBytes } from "./statement.ts"

const bytes = z.codec(z.string(), anyBytes, {
  decode: (text) => parseBase64url(text),
  encode: (value) => encodeBase64url(value),
})
const count = z.int().min(0)
const physician = z.custom<PhysicianId>(isId)

const schema = z.strictObject({
  record: z.custom<RecordId>(isId),
  seq: count,
  hash: bytes,
  epoch: count,
  members: z.array(
    z.strictObject({
      physician,
      fingerprint: bytes,
      role: z.enum(["owner", "writer", "reader"]),
      until: count.optional(),
    }),
  ),
  commits: z.array(z.tuple([count, bytes])),
  mustRaise: z.boolean(),
  settled: count.optional(),
  leaf: count,
  seen: z.array(z.tuple([physician, z.strictObject({ size: count, root: bytes.nullable() })])),
})

/** A chain head as JSON text, so that a walk can resume where it stood. */
export function encodeChainHead(head: ChainHead): string {
  return JSON.stringify(
    schema.encode({ ...head, members: [...head.members], commits: [...head.commits], seen: [...head.seen] }),
  )
}

/** @throws BAD_INPUT_FORMAT */
export function parseChainHead(text: string): ChainHead {
  try {
    const { settled, ...head } = schema.decode(JSON.parse(text))
    return {
      ...head,
      ...(settled === undefined ? {} : { settled }),
      commits: new Map(head.commits),
      seen: new Map(head.seen),
    }
  } catch (cause) {
    throw new AppError("BAD_INPUT_FORMAT", undefined, { cause })
  }
}
