import { concat } from "../encoding/bytes.ts"
import { idBytes, type PhysicianId } from "../encoding/ids.ts"
import { stretchedDigits } from "./stretched.ts"

/** One side of a safety number. */
export interface Party {
  readonly physician: PhysicianId
  /** 32 B */
  readonly fingerprint: Uint8Array
}

/** What two physicians compare: 60 digits, the same whichever of them computes it. Each side gives 30 digits, the lower ones first.
 * Format: docs/formats/identity.md */
export function safetyNumber(a: Party, b: Party): string {
  return [digitsOf(a), digitsOf(b)].sort().join("")
}

/** h = u16be 0 ‖ fingerprint ‖ physician, stretched with the fingerprint. */
function digitsOf({ physician, fingerprint }: Party): string {
  return stretchedDigits(concat(new Uint8Array(2), fingerprint, idBytes(physician)), fingerprint)
}
