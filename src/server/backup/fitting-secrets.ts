import { readdir, readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { AppError } from "../../errors.ts"
import { openNote, type TreeHead } from "../../proof/checkpoint.ts"
import type { DataFolder } from "../data-folder.ts"
import { logSigner } from "../log.ts"
import { parseLogKey, secretFiles } from "../secrets.ts"
import type { SecretFiles } from "./sealed-secrets.ts"

/** A key of the log, with all that lay beside it. */
export interface FittingSecrets {
  readonly files: SecretFiles
  readonly seed: Uint8Array
}

/** The files of a secrets folder, by their path in it. @param isAsked which ones; every one where left out */
export async function readSecretFiles(
  { secrets }: Pick<DataFolder, "secrets">,
  isAsked: (name: string) => boolean = () => true,
): Promise<SecretFiles> {
  const files = new Map<string, Uint8Array>()
  for (const name of await namesIn(secrets)) {
    const path = join(secrets, name)
    // A link to a file is that file, as it is to the server.
    if (!name.endsWith(".new") && isAsked(name) && (await stat(path)).isFile())
      files.set(name, new Uint8Array(await readFile(path)))
  }
  return files
}

/** What lies in a secrets folder, by its path in it; folders are not named. */
export async function namesIn(secrets: string): Promise<string[]> {
  const found = await readdir(secrets, { recursive: true, withFileTypes: true }).catch((cause) => {
    throw new AppError("UNAVAILABLE_STORAGE", `${secrets} cannot be read. Without it there is no restore.`, { cause })
  })
  return found
    .filter((entry) => !entry.isDirectory())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(secrets.length + 1)
        .replaceAll("\\", "/"),
    )
}

/** The secrets among these with which a server goes on from this checkpoint; null where there are none. */
export async function fitting(files: SecretFiles, note: string, origin: string): Promise<FittingSecrets | null> {
  for (const [name, content] of files) {
    if (!name.startsWith(secretFiles.logKey) || !files.has(secretFiles.opaqueSetup)) continue
    const seed = parseLogKey(Buffer.from(content).toString("utf8"))
    if (seed !== null && (await signed(note, origin, logSigner(seed).publicKey)) !== null) return { files, seed }
  }
  return null
}

/** The head in a note that this key has signed; null for any other. */
export function signed(note: string, origin: string, logKey: Uint8Array): Promise<TreeHead | null> {
  return openNote(note, origin, logKey).catch(() => null)
}
