/** For tests: as long as a sealing key, and taken in as one; nobody can open what is sealed to it.
 * @param bytes 1,216 B */
export function asSealKey(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(bytes, (byte, i) => (i % 3 === 0 || i >= 1152 ? byte : byte & 0x77))
}
