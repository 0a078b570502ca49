import { parseUtf8 } from "./bytes.ts"
import type { HeapText } from "./heap-text.ts"

/** What one call of `fromCharCode` is given. */
const atOnce = 1024

/** What a browser's decoder makes lies outside of the heap and stays until all of that is swept: hundreds of megabytes of small texts. */
export const heapText: HeapText = (bytes) => {
  let text = ""
  for (let at = 0; at < bytes.length; at += atOnce) {
    const codes = new Array<number>(Math.min(atOnce, bytes.length - at))
    let highest = 0
    for (let i = 0; i < codes.length; i++) {
      codes[i] = bytes[at + i]!
      highest |= codes[i]!
    }
    if (highest > 0x7f) return parseUtf8(bytes)
    text += String.fromCharCode.apply(null, codes)
  }
  return text
}
