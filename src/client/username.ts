/** A username as it counts, of one as it was typed: ASCII lower-casing alone, so that a name means the same everywhere. */
export function cleanUsername(typed: string): string {
  return typed.trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}
