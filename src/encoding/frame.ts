import { AppError } from "../errors.ts"
import { concatAll, u32be } from "./bytes.ts"
import { padme } from "./padme.ts"

/** How a body lies in its frame: 0 as it is, 1 deflate-raw (only for imported bundles). */
export type Coding = 0 | 1
const header = 5
const smallest = 256

/** frame(body) = u8 coding ‖ u32be(len body) ‖ body ‖ zeros, up to Padmé(max(256, 5 + len body)).
 * @param exact leaves the padding out: for the 32-byte keys under unlock, self-grant and session, whose length is no secret.
 * Format: docs/formats/token.md */
export function encodeFrame(body: Uint8Array, coding: Coding = 0, exact = false): Uint8Array<ArrayBuffer> {
  const length = header + body.length
  const out = new Uint8Array(exact ? length : padme(Math.max(smallest, length)))
  out[0] = coding
  out.set(u32be(body.length), 1)
  out.set(body, header)
  return out
}

/** The coding and the body of a frame, as views. @throws BAD_INPUT_FORMAT for a wrong coding, length or non-zero filler. */
export function parseFrame(frame: Uint8Array, exact = false): { coding: Coding; body: Uint8Array } {
  const coding = frame[0]
  if (frame.length < header || (coding !== 0 && coding !== 1)) throw new AppError("BAD_INPUT_FORMAT")
  const length = new DataView(frame.buffer, frame.byteOffset).getUint32(1)
  const end = header + length
  if (frame.length !== (exact ? end : padme(Math.max(smallest, end)))) throw new AppError("BAD_INPUT_FORMAT")
  for (let i = end; i < frame.length; i++) if (frame[i] !== 0) throw new AppError("BAD_INPUT_FORMAT")
  return { coding, body: frame.subarray(header, end) }
}

/** Compresses as raw DEFLATE (RFC 1951). */
export async function deflate(body: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  return pump(body, new CompressionStream("deflate-raw"), Number.POSITIVE_INFINITY)
}

/** Inflates raw DEFLATE; stops as soon as the bound is passed. Trailing bytes are refused.
 * @throws BAD_INPUT_SIZE above `maxBytes`, BAD_INPUT_FORMAT for anything else. */
export async function inflate(packed: Uint8Array, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const body = await pump(packed, new DecompressionStream("deflate-raw"), maxBytes)
  if (await isWhole(packed.subarray(0, -1), maxBytes)) throw new AppError("BAD_INPUT_FORMAT")
  return body
}

/** Node 24 swallows what lies behind the end of a raw stream, Chromium does not: where less would do, there is too much. */
async function isWhole(packed: Uint8Array, maxBytes: number): Promise<boolean> {
  return pump(packed, new DecompressionStream("deflate-raw"), maxBytes).then(
    () => true,
    () => false,
  )
}

async function pump(
  input: Uint8Array,
  transform: CompressionStream | DecompressionStream,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const writer = transform.writable.getWriter()
  const written = writer.write(input as Uint8Array<ArrayBuffer>).then(() => writer.close())
  written.catch(() => {})
  const chunks: Uint8Array[] = []
  let size = 0
  const reader = (transform.readable as ReadableStream<Uint8Array>).getReader()
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      size += part.value.length
      if (size > maxBytes) {
        reader.cancel().catch(() => {})
        throw new AppError("BAD_INPUT_SIZE")
      }
      chunks.push(part.value)
    }
    await written
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    throw new AppError("BAD_INPUT_FORMAT", undefined, { cause })
  }
  return concatAll(chunks)
}
