/** What is checked before any work is done. Sizes in bytes. They are constants of the format: see docs/formats/entry.md. */
export const limits = {
  statementBytes: 64 * 1024,
  bodyBytes: 16 * 1024 * 1024,
  inflatedBytes: 64 * 1024 * 1024,
  compressFromBytes: 16 * 1024,
  jsonDepth: 64,
  members: 256,
  /** Of one CBOR text: every value, every name and every container is an item. */
  cborItems: 1_000_000,
  /** Of all resources of one entry: every value is a node, containers too; names are none. */
  entryNodes: 8_000_000,
  resourceNodes: 500_000,
  /** Text counts as so many bytes a node, if it has fewer. */
  bytesPerNode: 16,
  /** An entry counts as so many bytes a change, if it has fewer; */
  bytesPerChange: 512,
  /** one that cannot be read as so many times what it has; */
  unreadTimes: 16,
  /** and any as so many, if it has fewer. */
  bytesPerBody: 16 * 1024,
  /** Of one author in one record: what of theirs is live in the fold, */
  authorLiveBytes: 128 * 1024 * 1024,
  authorResources: 60_000,
  /** and all that they ever wrote there. */
  authorBodyBytes: 192 * 1024 * 1024,
  /** So many entries of one author in one record the server takes: with contents, */
  storedEntries: 10_000,
  /** and with other members or another key: of an owner, and of any other member. A grant holds about 1,500 keys. */
  storedOwnerEntries: 500,
  storedMemberEntries: 200,
} as const
