import { encodeBase64url, parseBase64url } from "../encoding/base64.ts"
import { AppError } from "../errors.ts"

/** What somebody needs to sign up at a practice, as whoever runs its server handed it over: by another way than through the server. */
export interface Invite {
  /** 16 random bytes, good once. The server knows their SHA-256 alone. */
  readonly code: Uint8Array
  /** The log's public key, 32 B, and its origin: a client signs up nowhere else. */
  readonly logKey: Uint8Array
  readonly origin: string
}

export const inviteCodeBytes = 16
const longest = 4096

/** One line without blanks: code, log key and origin, with dots between them; bytes as base64url. */
export function encodeInvite({ code, logKey, origin }: Invite): string {
  return [encodeBase64url(code), encodeBase64url(logKey), origin].join(".")
}

/** The link that opens the page with an invitation. It stands in the fragment, which browsers send to nobody.
 * @param url of the server, such as https://practice.example:5000 */
export function inviteLink(url: string, invite: Invite): string {
  return `${new URL("/register", url).href}#${encodeInvite(invite)}`
}

/** Reads an invitation, or a link with one. @throws BAD_INPUT_FORMAT */
export function parseInvite(text: string): Invite {
  const line = text.trim().slice(0, longest).replace(/^.*#/, "")
  const [, code, logKey, origin] = /^([\w-]{22})\.([\w-]{43})\.(healthcrypt\/[\w/-]{22,64})$/.exec(line) ?? []
  try {
    return { code: parseBase64url(code ?? "."), logKey: parseBase64url(logKey ?? "."), origin: origin ?? "" }
  } catch (cause) {
    throw new AppError(
      "BAD_INPUT_FORMAT",
      "This is not an invitation code. Copy the whole line, or the link, as it was sent to you.",
      { cause },
    )
  }
}
