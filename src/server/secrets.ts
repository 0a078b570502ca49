import { randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { mkdir, readFile, rename, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { ready, server } from "@serenity-kit/opaque"
import { encodeBase64url, parseBase64url } from "../encoding/base64.ts"
import { AppError } from "../errors.ts"
import { type DataFolder, demandPrivate, syncFolder, writeDurably } from "./data-folder.ts"
import type { Secrets } from "./deps.ts"
import { logSigner } from "./log.ts"

/** The secrets of a data folder: without them a stolen database allows no password guessing, and nobody else can sign for the
 * log. */
export interface OpenedSecrets extends Secrets {
  /** Says that the database beside them is made, so that its absence is a loss from now on. */
  settle(): Promise<void>
}

/** Their names. `log-key-before-<n>` is the key of the log before the practice's n-th restore. */
export const secretFiles = { opaqueSetup: "opaque-setup", logKey: "log-key", unsettled: "unsettled" } as const
const files = secretFiles
/** The newest checkpoint that a server acknowledged lies here as well. */
export const newestCheckpoint = "newest-checkpoint"

const ownNames =
  /^(opaque-setup|log-key(-before-[1-9]\d{0,8})?|unsettled|newest-checkpoint|tls\/(authority|server)\.pem)$/

/** Whether a server reads or writes a file of this path in its secrets folder. */
export function isSecretFile(path: string): boolean {
  return ownNames.test(path)
}

const headers = { opaqueSetup: "healthcrypt opaque setup v1", logKey: "healthcrypt log key v1" } as const

/** Reads the secrets of a data folder; at the very first start makes them. They appear all at once: a start that is interrupted
 * leaves nothing behind that a later one would trust.
 * @throws UNAVAILABLE_STORAGE when the database or the secrets are there without the other. */
export async function openSecrets(folder: DataFolder): Promise<OpenedSecrets> {
  const hasDatabase = await hasContent(folder.database)
  if (!existsSync(folder.secrets)) {
    if (hasDatabase) throw secretsMissing(folder)
    await makeSecrets(folder)
  }
  await demandPrivate(folder.secrets)
  const unsettled = join(folder.secrets, files.unsettled)
  if (!hasDatabase && !existsSync(unsettled)) throw databaseMissing(folder)
  return {
    opaqueSetup: await readSecret(folder, "opaqueSetup"),
    logSeed: await readLogSeed(folder),
    async settle() {
      if (!existsSync(unsettled)) return
      await rm(unsettled)
      await syncFolder(folder.secrets)
    },
  }
}

/** The log's public key, 32 B, or `null` where the secrets folder is kept elsewhere. */
export async function findLogPublicKey(folder: DataFolder): Promise<Uint8Array | null> {
  if (!existsSync(join(folder.secrets, files.logKey))) return null
  return logSigner(await readLogSeed(folder)).publicKey
}

async function makeSecrets(folder: DataFolder): Promise<void> {
  const making = `${folder.secrets}.new`
  await rm(making, { recursive: true, force: true })
  await mkdir(making, { mode: 0o700 })
  await ready
  await writeDurably(join(making, files.opaqueSetup), `${headers.opaqueSetup}\n${server.createSetup()}\n`)
  await writeDurably(join(making, files.logKey), encodeLogKey(randomBytes(32)))
  await writeDurably(join(making, files.unsettled), "The first start has not come to its end yet.\n")
  await rename(making, folder.secrets)
  await syncFolder(folder.path)
}

async function readLogSeed(folder: DataFolder): Promise<Uint8Array> {
  const path = join(folder.secrets, files.logKey)
  const seed = parseLogKey(`${headers.logKey}\n${await readSecret(folder, "logKey")}\n`)
  if (seed === null) throw unreadable(path)
  return seed
}

/** A log key's file. @param seed 32 B */
export function encodeLogKey(seed: Uint8Array): string {
  return `${headers.logKey}\n${encodeBase64url(seed)}\n`
}

/** The seed in a log key's file, 32 B; null for anything else. */
export function parseLogKey(content: string): Uint8Array | null {
  const [header, text, rest, ...more] = content.split("\n")
  if (header !== headers.logKey || !text || rest !== "" || more.length > 0) return null
  const seed = tryParse(text)
  return seed?.length === 32 ? seed : null
}

async function readSecret(folder: DataFolder, name: keyof typeof headers): Promise<string> {
  const path = join(folder.secrets, files[name])
  const content = await readFile(path, "utf8").catch((cause) => {
    throw unreadable(path, cause)
  })
  const [header, text, rest, ...more] = content.split("\n")
  if (header !== headers[name] || !text || rest !== "" || more.length > 0) throw unreadable(path)
  return text
}

async function hasContent(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null)
  return found !== null && found.size > 0
}

function tryParse(text: string): Uint8Array | null {
  try {
    return parseBase64url(text)
  } catch {
    return null
  }
}

function secretsMissing(folder: DataFolder): AppError {
  const advice =
    `The folder ${folder.secrets} is missing, though ${folder.database} is there. Put your copy of it back: ` +
    "with new secrets nobody could sign in any more."
  return new AppError("UNAVAILABLE_STORAGE", advice)
}

function databaseMissing(folder: DataFolder): AppError {
  const advice =
    `The database ${folder.database} is missing, though ${folder.secrets} is there. Put your copy of it back, ` +
    "or name another folder with --data to begin a new practice."
  return new AppError("UNAVAILABLE_STORAGE", advice)
}

function unreadable(path: string, cause?: unknown): AppError {
  return new AppError("UNAVAILABLE_STORAGE", `${path} cannot be read as it should. Put your copy of it back.`, {
    cause,
  })
}
