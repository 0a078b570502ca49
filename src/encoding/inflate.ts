/** Inflates raw DEFLATE (RFC 1951); stops as soon as the bound is passed. Bytes behind the end are refused.
 * @throws BAD_INPUT_SIZE above `maxBytes`, BAD_INPUT_FORMAT for anything else that is wrong with it, UNAVAILABLE_MEMORY */
export type Inflate = (packed: Uint8Array, maxBytes: number) => Promise<Uint8Array<ArrayBuffer>>
