import { z } from "zod"
import { sha256 } from "#sha256"
import { type CborValue, encodeCbor, parseCbor } from "../encoding/cbor.ts"
import { type Id, idBytes, idFromBytes } from "../encoding/ids.ts"
import { limits } from "../encoding/limits.ts"
import { AppError } from "../errors.ts"

/** A statement as it is stored, hashed and sent: the exact bytes that were signed, and the signature over them. */
export interface Signed {
  readonly statement: Uint8Array
  /** 64 B; for an identity whose key changed, the new key's signature followed by the old key's. */
  readonly signature: Uint8Array
}

/** hash(statement) = SHA-256(bytes), 32 B. */
export function statementHash(statement: Uint8Array): Uint8Array<ArrayBuffer> {
  return sha256(statement)
}

/** Bytes, of whatever buffer. */
export const anyBytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array)

/** A byte string of exactly `length` bytes in a statement. */
export function bytesOf(length: number) {
  return anyBytes.refine((bytes) => bytes.length === length)
}

/** An id in a statement: 16 bytes there, 22 characters in the program. */
export function idOf<Kind extends string>() {
  return z.codec(
    bytesOf(16),
    z.custom<Id<Kind>>((id) => typeof id === "string"),
    { decode: (bytes) => idFromBytes<Kind>(bytes), encode: (id) => idBytes(id) as Uint8Array },
  )
}

export const count = z.int().min(0)

/** Milliseconds since 1970, up to the end of the year 9998: in every time zone a moment that is written with four digits of a year. */
export const moment = z.int().min(0).max(253_370_764_799_999)

/** Encodes what a statement says as the bytes that get signed. @throws BAD_INPUT_STATEMENT, BAD_INPUT_SIZE */
export function encodeStatement<Schema extends z.ZodType>(
  schema: Schema,
  value: z.output<Schema>,
): Uint8Array<ArrayBuffer> {
  const encoded = schema.safeEncode(value)
  if (!encoded.success) throw new AppError("BAD_INPUT_STATEMENT", undefined, { cause: encoded.error })
  const bytes = encodeCbor(dropAbsent(encoded.data as CborValue))
  if (bytes.length > limits.statementBytes) throw new AppError("BAD_INPUT_SIZE")
  return bytes
}

/** Reads a statement: strictly decoded, encoded again to the same bytes, every field known. Nothing of it may be used before its
 * signature is verified. @throws BAD_INPUT_STATEMENT, BAD_INPUT_SIZE */
export function parseStatement<Schema extends z.ZodType>(schema: Schema, bytes: Uint8Array): z.output<Schema> {
  let value: CborValue
  try {
    value = parseCbor(bytes, limits.statementBytes)
  } catch (cause) {
    if (cause instanceof AppError && cause.code === "BAD_INPUT_SIZE") throw cause
    throw new AppError("BAD_INPUT_STATEMENT", undefined, { cause })
  }
  const parsed = schema.safeDecode(value as z.input<Schema>)
  if (!parsed.success) throw new AppError("BAD_INPUT_STATEMENT", undefined, { cause: parsed.error })
  return parsed.data
}

function dropAbsent(value: CborValue | undefined): CborValue {
  if (Array.isArray(value)) return value.map(dropAbsent)
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value as CborValue
  const present = Object.entries(value).filter(([, field]) => field !== undefined)
  return Object.fromEntries(present.map(([name, field]) => [name, dropAbsent(field as CborValue)]))
}
