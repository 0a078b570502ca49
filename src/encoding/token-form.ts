import { AppError } from "../errors.ts"
import { padme } from "./padme.ts"

/** What a token holds: `key`, one of 32 bytes in an exact frame of 37; `padded`, anything else, in a frame of a Padmé size. */
export type TokenForm = "key" | "padded"

const version = 0x80
/** Version, time, IV; and the HMAC behind the ciphertext. */
const around = 1 + 8 + 16 + 32
const block = 16
const exactFrame = 37
const smallestFrame = 256

/** Whether these bytes can be a token of this form. No key is needed to tell, and nothing more can be told without one.
 * Format: docs/formats/token.md */
export function isTokenForm(token: Uint8Array, form: TokenForm): boolean {
  if (token[0] !== version) return false
  const cipher = token.length - around
  if (form === "key") return cipher === block * (Math.floor(exactFrame / block) + 1)
  // Every Padmé size from 256 on is a multiple of 16, so the cipher's padding is one whole block.
  const frame = cipher - block
  return frame >= smallestFrame && frame % block === 0 && padme(frame) === frame
}

/** @throws BAD_INPUT_FORMAT for what cannot be a token of this form */
export function demandTokenForm(token: Uint8Array, form: TokenForm): void {
  if (!isTokenForm(token, form))
    throw new AppError(
      "BAD_INPUT_FORMAT",
      "This is not a sealed token of the size that it must have. Nothing was stored.",
    )
}
