/** Where a client remembers things between runs: IndexedDB in a browser, files for the command line. Whatever is secret is sealed
 * before it gets here, but for what a page proves its session with (`keepPageSecret`). Names hold ids only. */
export interface ClientStorage {
  get(name: string): Promise<Uint8Array | null>
  /** Durable and atomic: after a crash the old or the new bytes are there, whole.
   * @param durability `relaxed` lasts when the program is killed, and may be lost, or cut off, in a power cut: for what is written often */
  put(name: string, bytes: Uint8Array, durability?: "relaxed"): Promise<void>
  delete(...names: string[]): Promise<void>
  /** Names that begin with `prefix`. */
  list(prefix: string): Promise<string[]>
  /** Runs `work` while nobody else, in whatever tab or process, runs work under this name. */
  exclusive<T>(name: string, work: () => Promise<T>): Promise<T>
}
