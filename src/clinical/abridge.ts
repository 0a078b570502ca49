import { concatAll } from "../encoding/bytes.ts"

/** JSON of fewer bytes is left as it is. */
const largeBytes = 1024 * 1024
/** So many bytes of a string are left: far more than any view shows. */
const keptBytes = 256 * 1024

const quote = 0x22
const backslash = 0x5c

/** A resource's text for people to look at, with very long strings in it cut: a text and what is parsed of it take several times its bytes.
 * @param json checked before, UTF-8 @returns the very same where nothing is cut */
export function abridged(json: Uint8Array): Uint8Array {
  if (json.length < largeBytes) return json
  const parts: Uint8Array[] = []
  let left = 0
  for (let start = json.indexOf(quote) + 1; start > 0; ) {
    const end = endOf(json, start)
    if (end < 0) return json
    const cut = cutIn(json, start)
    if (cut < end) {
      parts.push(json.subarray(left, cut))
      left = end
    }
    start = json.indexOf(quote, end + 1) + 1
  }
  return parts.length === 0 ? json : concatAll([...parts, json.subarray(left)])
}

/** Where a string's closing quote stands. */
function endOf(json: Uint8Array, start: number): number {
  for (let end = json.indexOf(quote, start); end >= 0; end = json.indexOf(quote, end + 1)) {
    let slashes = 0
    while (json[end - 1 - slashes] === backslash) slashes++
    if (slashes % 2 === 0) return end
  }
  return -1
}

/** Where a string is cut: in no character, and in no escape. */
function cutIn(json: Uint8Array, start: number): number {
  let at = start + keptBytes
  if (at >= json.length) return json.length
  // Behind a backslash that escapes something, at most five characters.
  for (let back = at - 1; back >= at - 6; back--)
    if (json[back] === backslash && !isEscaped(json, back)) {
      at = Math.max(at, back + (json[back + 1] === 0x75 ? 6 : 2))
      break
    }
  while ((json[at]! & 0xc0) === 0x80) at++
  return at
}

function isEscaped(json: Uint8Array, at: number): boolean {
  let slashes = 0
  while (json[at - 1 - slashes] === backslash) slashes++
  return slashes % 2 === 1
}
