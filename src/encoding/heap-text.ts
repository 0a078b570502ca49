/** UTF-8 bytes as text, made so that its memory is given back soon after the last use, for many texts one after another. For few,
 * `parseUtf8` is faster. @throws TypeError on invalid UTF-8 */
export type HeapText = (bytes: Uint8Array) => string
