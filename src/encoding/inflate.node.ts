import { inflateRawSync } from "node:zlib"
import { AppError } from "../errors.ts"
import type { Inflate } from "./inflate.ts"
import { demandMemory } from "./memory.ts"

interface Inflated {
  readonly buffer: Buffer<ArrayBuffer>
  readonly engine: { readonly bytesWritten: number }
}

export const inflate: Inflate = async (packed, maxBytes) => {
  try {
    const options = { maxOutputLength: maxBytes + 1, info: true, chunkSize: 1024 * 1024 }
    const { buffer, engine } = inflateRawSync(packed, options) as unknown as Inflated
    if (buffer.length > maxBytes) throw new AppError("BAD_INPUT_SIZE")
    // Node passes over what lies behind the end of a stream.
    if (engine.bytesWritten !== packed.length) throw new AppError("BAD_INPUT_FORMAT")
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    demandMemory(cause)
    const isTooLarge = (cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE"
    throw new AppError(isTooLarge ? "BAD_INPUT_SIZE" : "BAD_INPUT_FORMAT", undefined, { cause })
  }
}
