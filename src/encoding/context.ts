import { concat, u32be, u64be, utf8 } from "./bytes.ts"

/** One field of a context: an integer (8 bytes, big-endian), text (UTF-8), or bytes as they are. Ids go in as their 16 bytes. */
export type ContextField = number | string | Uint8Array

/** CTX(label, a, b, …) = utf8(label) ‖ 0x00 ‖ u32be(len a) ‖ a ‖ u32be(len b) ‖ b …
 * Injective: two different lists of fields never give the same bytes.
 * @param label without its prefix: "healthcrypt/v1/" is put before it.
 * Format: docs/formats/token.md */
export function context(label: string, ...fields: readonly ContextField[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [utf8(`healthcrypt/v1/${label}`), Uint8Array.of(0)]
  for (const field of fields) {
    const bytes = typeof field === "number" ? u64be(field) : typeof field === "string" ? utf8(field) : field
    parts.push(u32be(bytes.length), bytes)
  }
  return concat(...parts)
}
