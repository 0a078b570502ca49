import { AppError } from "../errors.ts"
import type { Inflate } from "./inflate.ts"
import { demandMemory } from "./memory.ts"

/** So many bytes are given to the stream at once: it makes all that comes of them before anybody reads, a thousand times as much at worst. */
const sliceBytes = 4096
const blockBytes = 1024 * 1024

/** A browser's stream refuses what lies behind its end. It is written into one place, which grows; its pieces are let go of at once, for
 * they would else stay until the heap is swept. */
export const inflate: Inflate = async (packed, maxBytes) => {
  const stream = new DecompressionStream("deflate-raw")
  const written = write(stream.writable.getWriter(), packed)
  written.catch(() => {})
  const reader = (stream.readable as ReadableStream<Uint8Array<ArrayBuffer>>).getReader()
  const out = new ArrayBuffer(0, { maxByteLength: maxBytes })
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const at = out.byteLength
      if (at + part.value.length > maxBytes) {
        reader.cancel().catch(() => {})
        throw new AppError("BAD_INPUT_SIZE")
      }
      out.resize(at + part.value.length)
      new Uint8Array(out).set(part.value, at)
      part.value.buffer.transfer(0)
    }
    await written
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    demandMemory(cause)
    throw new AppError("BAD_INPUT_FORMAT", undefined, { cause })
  }
  return fixed(out)
}

/** What stands in a buffer that grew, in one that does not. It shrinks while it is copied: both at once would be twice the memory. */
function fixed(grown: ArrayBuffer): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(grown.byteLength)
  for (let end = grown.byteLength; end > 0; ) {
    const at = Math.max(0, end - blockBytes)
    all.set(new Uint8Array(grown, at, end - at), at)
    grown.resize(at)
    end = at
  }
  return all
}

async function write(writer: WritableStreamDefaultWriter, packed: Uint8Array): Promise<void> {
  for (let at = 0; at < packed.length; at += sliceBytes)
    await writer.write(packed.subarray(at, at + sliceBytes) as Uint8Array<ArrayBuffer>)
  await writer.close()
}
