/** What is checked before any work is done. Sizes in bytes. */
export const limits = {
  statementBytes: 64 * 1024,
  bodyBytes: 16 * 1024 * 1024,
  inflatedBytes: 64 * 1024 * 1024,
  /** All compressed bodies of one record together. */
  recordInflatedBytes: 256 * 1024 * 1024,
  compressFromBytes: 16 * 1024,
  jsonDepth: 64,
  members: 256,
} as const
