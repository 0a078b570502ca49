import { putU64, utf8 } from "./bytes.ts"

/** One field of a context: an integer (8 bytes, big-endian), text (UTF-8), or bytes as they are. Ids go in as their 16 bytes. */
export type ContextField = number | string | Uint8Array

/** How contexts begin, by label: there are few. */
const heads = new Map<string, Uint8Array>()

/** CTX(label, a, b, …) = utf8(label) ‖ 0x00 ‖ u32be(len a) ‖ a ‖ u32be(len b) ‖ b …
 * Injective: two different lists of fields never give the same bytes.
 * @param label without its prefix: "healthcrypt/v1/" is put before it.
 * Format: docs/formats/token.md */
export function context(label: string, ...fields: readonly ContextField[]): Uint8Array<ArrayBuffer> {
  const head = heads.get(label) ?? utf8(`healthcrypt/v1/${label}`)
  heads.set(label, head)
  const parts = fields.map((field) => (typeof field === "string" ? utf8(field) : field))
  const out = new Uint8Array(parts.reduce<number>((sum, part) => sum + 4 + sizeOf(part), head.length + 1))
  const view = new DataView(out.buffer)
  out.set(head)
  let at = head.length + 1
  for (const part of parts) {
    view.setUint32(at, sizeOf(part))
    at += 4
    if (typeof part === "number") putU64(view, at, part)
    else out.set(part, at)
    at += sizeOf(part)
  }
  return out
}

function sizeOf(part: number | Uint8Array): number {
  return typeof part === "number" ? 8 : part.length
}
