import { existsSync } from "node:fs"
import { join } from "node:path"
import { AppError } from "../../errors.ts"
import { type DataFolder, writeDurably } from "../data-folder.ts"
import { newestCheckpoint } from "../secrets.ts"
import type { Store } from "../store/store.ts"
import { unfinished } from "./restore.ts"

const everyMs = 60_000

/** Keeps the newest acknowledged checkpoint beside the secrets, once a minute and in the end: a restore asks there what would be lost.
 * @returns what ends it */
export function rememberHead({ secrets }: DataFolder, store: Pick<Store, "treeHead">): () => Promise<void> {
  let written = ""
  const write = async () => {
    const { note } = store.treeHead()
    if (note === written) return
    // A full or read-only disk is no reason to end.
    await writeDurably(join(secrets, newestCheckpoint), note).then(
      () => {
        written = note
      },
      () => {},
    )
  }
  const timer = setInterval(() => void write(), everyMs)
  timer.unref()
  return () => {
    clearInterval(timer)
    return write()
  }
}

/** @throws UNAVAILABLE_STORAGE where a restore was interrupted: half of the folder is of one log, half of another */
export function demandFinished(folder: DataFolder): void {
  if (!existsSync(join(folder.path, unfinished))) return
  const advice = `A restore into ${folder.path} was interrupted. Run \`healthcrypt restore\` with the same backup once more.`
  throw new AppError("UNAVAILABLE_STORAGE", advice)
}
