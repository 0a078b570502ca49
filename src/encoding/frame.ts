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

/** Compresses as raw DEFLATE (RFC 1951). What opens it is `#inflate`. */
export async function deflate(body: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const packing = new CompressionStream("deflate-raw")
  const writer = packing.writable.getWriter()
  const written = writer.write(body as Uint8Array<ArrayBuffer>).then(() => writer.close())
  written.catch(() => {})
  const chunks: Uint8Array[] = []
  const reader = (packing.readable as ReadableStream<Uint8Array>).getReader()
  for (let part = await reader.read(); !part.done; part = await reader.read()) chunks.push(part.value)
  await written
  return concatAll(chunks)
}
