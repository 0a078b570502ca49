/** Whether JSON text, as UTF-8, has so many values and levels at most. It is not checked otherwise: whoever parses it does that. A value
 * is counted by what stands before it, so this may be one too many, and never one too few. */
export function isSmallJson(bytes: Uint8Array, mostNodes: number, mostDepth: number): boolean {
  let nodes = 1
  let depth = 0
  for (let at = 0; at < bytes.length; at++) {
    const code = bytes[at]!
    if (code === 0x22) {
      at = endOfText(bytes, at)
      // A text without an end: there is nothing more that a parser could build.
      if (at < 0) return true
    } else if (code === 0x2c || code === 0x5b || code === 0x7b) {
      if (code !== 0x2c && ++depth > mostDepth) return false
      if (++nodes > mostNodes) return false
    } else if (code === 0x5d || code === 0x7d) depth--
  }
  return true
}

/** Where the closing quote of a text stands that begins at `start`, or -1. */
function endOfText(bytes: Uint8Array, start: number): number {
  let at = bytes.indexOf(0x22, start + 1)
  for (; at >= 0; at = bytes.indexOf(0x22, at + 1)) {
    let slashes = 0
    while (bytes[at - 1 - slashes] === 0x5c) slashes++
    if (slashes % 2 === 0) break
  }
  return at
}
