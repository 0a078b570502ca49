import { decode, encode, rfc8949EncodeOptions } from "cborg"
import { AppError } from "../errors.ts"
import { equal } from "./bytes.ts"
import { countCbor } from "./cbor-items.ts"
import { limits } from "./limits.ts"

export type CborValue =
  | string
  | boolean
  | number
  | Uint8Array
  | readonly CborValue[]
  | { readonly [key: string]: CborValue }

/** Deterministic CBOR (RFC 8949 §4.2.1) of maps with text keys, arrays, text, bytes, booleans and integers from 0 to 2^53 - 1. */
export function encodeCbor(value: unknown): Uint8Array<ArrayBuffer> {
  return encode(value, rfc8949EncodeOptions) as Uint8Array<ArrayBuffer>
}

/** Reads deterministic CBOR: whatever does not encode to the very same bytes again is refused. Its items are counted before any of them
 * is built.
 * @param mostItems more of them only where the reader has written them: what could be written has to be read again
 * @throws BAD_INPUT_SIZE above `maxBytes` or `mostItems`, BAD_INPUT_FORMAT for everything else. */
export function parseCbor(bytes: Uint8Array, maxBytes: number, mostItems: number = limits.cborItems): CborValue {
  if (bytes.length > maxBytes) throw new AppError("BAD_INPUT_SIZE")
  countCbor(bytes, mostItems)
  let value: CborValue
  try {
    value = decode(bytes, {
      strict: true,
      rejectDuplicateMapKeys: true,
      allowUndefined: false,
      allowNaN: false,
      allowInfinity: false,
    })
    demandPlain(value)
    if (!equal(encodeCbor(value), bytes)) throw new Error("not the deterministic encoding")
  } catch (cause) {
    throw new AppError("BAD_INPUT_FORMAT", undefined, { cause })
  }
  return value
}

function demandPlain(value: unknown): void {
  if (typeof value === "string" || typeof value === "boolean" || value instanceof Uint8Array) return
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value) || value < 0 || Object.is(value, -0)) throw new Error("not an unsigned integer")
  } else if (typeof value === "object" && value !== null) {
    for (const item of Array.isArray(value) ? value : Object.values(value)) demandPlain(item)
  } else throw new Error("a type that statements do not have")
}
