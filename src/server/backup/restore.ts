import { randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, rmdir, stat, writeFile } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { newId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import { sameTree, type TreeHead } from "../../proof/checkpoint.ts"
import { inGroups, type SignedSuccession, succeedingOrigin, successionCode } from "../../proof/succession.ts"
import { auditDatabase } from "../audit/audit.ts"
import { type Finding, newFindings } from "../audit/findings.ts"
import { auditOlderSchema } from "../audit/schema.ts"
import {
  type ClaimedFolder,
  claimDataFolder,
  type DataFolder,
  dataFolder,
  syncFolder,
  writeDurably,
} from "../data-folder.ts"
import { logSigner } from "../log.ts"
import { encodeLogKey, newestCheckpoint, secretFiles } from "../secrets.ts"
import { openSqlite, openUnwritable } from "../store/connection.ts"
import { migrate, sqliteTypes } from "../store/migrations.ts"
import { succeed } from "../store/succeed.ts"
import { storedSuccessions } from "../store/successions.ts"
import type { WitnessAddress } from "../witnesses.ts"
import { clear, newestBackup, refusalOf, sync } from "./backup.ts"
import { type FittingSecrets, fitting, readSecretFiles, signed } from "./fitting-secrets.ts"
import { newestTime, noBackup, parseHead, readHead, usernamesIn } from "./head.ts"
import { backupTable, openSealedSecrets } from "./sealed-secrets.ts"
import { askWitness } from "./witnessed.ts"

export interface RestoreOptions {
  readonly file: string
  readonly dataDir: string
  /** Restore although something remembers more than the backup holds. */
  readonly force: boolean
  /** Asked only if the secrets have to come out of the backup. */
  readonly passphrase: () => Promise<string>
  /** Who may remember a larger head. */
  readonly witnesses: readonly WitnessAddress[]
  /** Milliseconds since 1970. */
  readonly now: () => number
}

export interface Restored {
  readonly succession: SignedSuccession
  /** 30 digits in groups of five, for the physicians. */
  readonly code: string
  /** Where what was replaced lies now; null where nothing was there. */
  readonly aside: string | null
  readonly lost: Lost
}

/** What a restore takes back, as far as the database that it replaces tells. */
interface Lost {
  /** When the newest leaf of the backup was made, in milliseconds since 1970. */
  readonly backupTime: number | null
  /** The same of the replaced database; null where there is none that can be read. */
  readonly replacedTime: number | null
  /** The usernames of accounts that the backup does not have; null where nobody can say. */
  readonly accounts: readonly string[] | null
}

function spoken(succession: SignedSuccession): string {
  return inGroups(successionCode(succession))
}

/** Stands in the data folder from before anything is moved until everything is in its place. */
export const unfinished = "restore-unfinished"
const keptAside = /^before-restore-[0-9TZ-]+$/

/** Puts a backup into a folder, as the beginning of a log of its own: new name, new key, a leaf that binds both to what was kept. Physicians
 * confirm it with the code. What lay in the folder is kept aside.
 * @throws NOT_ALLOWED, UNAVAILABLE (a server runs there), TAMPERED_LOG (the backup does not verify), CANNOT_OPEN (its secrets do not
 * open), BAD_INPUT_FORMAT (it is none), UNAVAILABLE_STORAGE. Nothing was replaced then */
export async function restore(options: RestoreOptions): Promise<Restored> {
  const given = await stat(options.file).catch(() => null)
  if (given === null || !given.isFile())
    throw new AppError("BAD_INPUT_FORMAT", "There is no such backup. Check the path.")
  const loose = await stat(`${options.file}-wal`).catch(() => null)
  if (loose !== null && loose.size > 0)
    throw new AppError(
      "BAD_INPUT_FORMAT",
      "This is a server's own database, not a backup: make one of it with `healthcrypt backup`.",
    )
  await demandOwnTables(options.file)
  const missing = missingFolders(options.dataDir)
  const folder = await claimDataFolder(options.dataDir)
  let isDone = false
  const part = join(folder.path, "restoring.db")
  const secrets = join(folder.path, "secrets.restoring")
  try {
    await clear(part)
    await rm(secrets, { recursive: true, force: true })
    await copyFile(options.file, part)
    await chmod(part, 0o600)
    const restored = await putBack(options, folder, part, secrets)
    isDone = true
    return restored
  } catch (cause) {
    await clear(part).catch(() => {})
    await rm(secrets, { recursive: true, force: true }).catch(() => {})
    throw refusalOf(cause)
  } finally {
    folder.release()
    if (!isDone) await removeMade(missing)
  }
}

/** Whether a backup is made of what this version or an older one makes, and of nothing else. Asked before anything is selected from it: a view
 * in the place of a table would run. @throws TAMPERED_LOG, BAD_INPUT_FORMAT */
async function demandOwnTables(file: string): Promise<void> {
  const findings = newFindings()
  try {
    const db = openUnwritable(file)
    try {
      await auditOlderSchema(db, findings)
    } finally {
      await db.destroy()
    }
  } catch (cause) {
    throw cause instanceof AppError && cause.code === "UNAVAILABLE" ? cause : noBackup(cause)
  }
  demandUnchanged(findings.list)
}

function demandUnchanged(findings: readonly Finding[]): void {
  if (findings.length === 0) return
  const named = findings.slice(0, 10).map(({ row, what }) => `${row}: ${what}`)
  throw new AppError("TAMPERED_LOG", ["This backup was changed or damaged. Take another one.", ...named].join("\n"))
}

/** A folder and those above it that are not there, the innermost first. */
function missingFolders(path: string): string[] {
  const whole = resolve(path)
  return existsSync(whole) ? [] : [whole, ...missingFolders(dirname(whole))]
}

/** What was made for a restore that came to nothing goes with it. */
async function removeMade(folders: readonly string[]): Promise<void> {
  const [innermost] = folders
  if (innermost === undefined) return
  await clear(join(innermost, "lock.db"))
  for (const path of folders) await rmdir(path).catch(() => {})
}

/** The code of the newest restore, once more. @returns null where the folder was never restored */
export async function restoreCode(dataDir: string): Promise<{ succession: SignedSuccession; code: string } | null> {
  const { database } = dataFolder(dataDir)
  if (!existsSync(database)) return null
  readHead(database)
  const db = openSqlite(database, "read")
  try {
    const newest = (await storedSuccessions(db)).at(-1)
    return newest === undefined ? null : { succession: newest, code: spoken(newest) }
  } finally {
    await db.destroy()
  }
}

async function putBack(
  { force, passphrase, witnesses, now }: RestoreOptions,
  folder: ClaimedFolder,
  part: string,
  secretsPart: string,
): Promise<Restored> {
  // It may have been another file by the time it was copied.
  await demandOwnTables(part)
  const { practice, origin, tree, note } = readHead(part)
  const sealed = takeSealed(part)
  await toNewest(part)
  const before = await auditDatabase(part, null)
  demandUnchanged(before.findings)
  const found = (await fittingSecrets(folder, note, origin)) ?? (await openSecrets())
  const old = { origin, logKey: logSigner(found.seed).publicKey }
  const lost = lostOf(folder, part)
  const known = await demandNothingLarger(folder, { practice, tree, note, ...old }, lost, witnesses, force)

  const seed = new Uint8Array(randomBytes(32))
  const signer = logSigner(seed)
  const to = { origin: succeedingOrigin(practice, newId()), logKey: signer.publicKey }
  const succession = await succeed(part, {
    from: old,
    known,
    to,
    now,
    signStatement: logSigner(found.seed).signSuccession,
    signCheckpoint: signer.sign,
  })
  const after = await auditDatabase(part, signer.publicKey)
  if (after.findings.length > 0)
    throw new AppError("TAMPERED_LOG", "The restored database does not verify. Take another backup.")
  await sync(part)
  await writeSecrets(secretsPart, found, seed, succession.number)
  return { succession, code: spoken(succession), lost, aside: await exchange(folder, part, secretsPart, now()) }

  async function openSecrets(): Promise<FittingSecrets> {
    if (sealed === null) throw noSecrets()
    const files = openSealedSecrets(sealed, await passphrase(), { practice, tree })
    const fits = await fitting(files, note, origin)
    if (fits === null) throw noSecrets()
    return fits
  }
}

/** What lies in the folder after an interrupted restore is half of that one's own, and tells nothing. */
function lostOf(folder: DataFolder, part: string): Lost {
  const isThere = existsSync(folder.database) && !existsSync(join(folder.path, unfinished))
  const before = isThere ? usernamesIn(folder.database) : null
  const after = usernamesIn(part)
  const accounts = before && after && [...before].flatMap(([id, username]) => (after.has(id) ? [] : [username]))
  return { backupTime: newestTime(part), replacedTime: isThere ? newestTime(folder.database) : null, accounts }
}

/** The sealed secrets of a backup, which the restored database does not keep; null where it has none. */
function takeSealed(file: string): Uint8Array | null {
  const database = new DatabaseSync(file)
  try {
    const there = database.prepare("select 1 from sqlite_schema where name = ?").get(backupTable.name)
    if (there === undefined) return null
    const row = database.prepare(`select sealed from ${backupTable.name}`).get()
    database.exec(`drop table ${backupTable.name}`)
    return row?.sealed instanceof Uint8Array ? new Uint8Array(row.sealed) : null
  } finally {
    database.close()
  }
}

async function toNewest(file: string): Promise<void> {
  const db = openSqlite(file, "write")
  try {
    await migrate(db, sqliteTypes)
  } finally {
    await db.destroy()
  }
}

/** Secrets that lie in the folder, or aside in it, and whose key signed this checkpoint: the newest, or that of an earlier log. */
async function fittingSecrets(folder: DataFolder, note: string, origin: string): Promise<FittingSecrets | null> {
  const aside = (await readdir(folder.path))
    .filter((name) => keptAside.test(name))
    .sort()
    .reverse()
  const places = [folder.secrets, ...aside.map((name) => join(folder.path, name, "secrets"))]
  for (const secrets of places.filter((place) => existsSync(place))) {
    const fits = await fitting(await readSecretFiles({ secrets }), note, origin)
    if (fits !== null) return fits
  }
  return null
}

/** Demands that nobody who can be asked remembers more than the backup holds, unless that is meant.
 * @returns the largest tree of the old log that is known. @throws NOT_ALLOWED */
async function demandNothingLarger(
  folder: DataFolder,
  backup: { practice: string; tree: TreeHead; note: string; origin: string; logKey: Uint8Array },
  lost: Lost,
  witnesses: readonly WitnessAddress[],
  force: boolean,
): Promise<TreeHead> {
  const notes: { readonly who: string; readonly note: string; readonly isSettled: boolean }[] = []
  // Whoever was interrupted has said before what is meant, and half of what lies in the folder is that restore's own.
  const isSettled = existsSync(join(folder.path, unfinished))
  if (await hasContent(folder.database)) {
    const present = await Promise.resolve()
      .then(() => readHead(folder.database))
      .catch(() => null)
    if (present === null && !force && !isSettled)
      throw new AppError(
        "NOT_ALLOWED",
        "The database that is in the folder cannot be read, so nobody knows what would be lost. To put the backup in its place all the same, add --force.",
      )
    if (present !== null && present.practice !== backup.practice)
      throw new AppError("NOT_ALLOWED", "The folder holds another practice. Name another folder with --data.")
    const last = present === null || force || isSettled ? null : await restoreCode(folder.path)
    const { origin, tree } = backup
    if (last?.succession.from.origin === origin && sameTree(last.succession.kept, tree))
      throw new AppError(
        "NOT_ALLOWED",
        "This backup was put into this folder before, and the server goes on from there. `healthcrypt restore --code` prints its code once more.",
      )
    if (present !== null) notes.push({ who: "The folder's database", note: present.note, isSettled })
  }
  const remembered = await readFile(join(folder.secrets, newestCheckpoint), "utf8").catch(() => null)
  if (remembered !== null) notes.push({ who: "The secrets folder", note: remembered, isSettled })
  for (const witness of witnesses) {
    const note = await askWitness(witness, backup.origin)
    notes.push({ who: `The witness ${witness.key.name}`, note, isSettled: false })
  }

  let largest: TreeHead = backup.tree
  for (const { who, note, isSettled } of notes) {
    const head = parseHead(note)
    if (head === null) continue
    if (head.size > backup.tree.size && !force && !isSettled) {
      const more = head.size - backup.tree.size
      throw new AppError(
        "NOT_ALLOWED",
        `${who} knows of ${head.size} leaves of the log, and the backup holds ${backup.tree.size}: ${more} would be lost.${spanOf(lost)} ` +
          "Take a newer backup, or, where there is none, add --force.",
      )
    }
    const ours = await signed(note, backup.origin, backup.logKey)
    if (ours !== null && ours.size > largest.size) largest = ours
  }
  return { size: largest.size, root: largest.root }
}

/** From when to when is lost, in a sentence. */
export function spanOf({ backupTime, replacedTime }: Pick<Lost, "backupTime" | "replacedTime">): string {
  if (backupTime === null) return ""
  const at = (time: number) => `${new Date(time).toISOString().slice(0, 19)}Z`
  const replaced = replacedTime === null ? "" : `, the database that is replaced at ${at(replacedTime)}`
  return ` The backup ends at ${at(backupTime)}${replaced}.`
}

/** Everything of the old secrets, with the fresh key in the old one's place and the old one beside it. */
async function writeSecrets(
  to: string,
  { files, seed: old }: FittingSecrets,
  seed: Uint8Array,
  number: number,
): Promise<void> {
  await mkdir(to, { mode: 0o700 })
  for (const [name, content] of files) {
    if ([newestCheckpoint, secretFiles.unsettled].includes(name)) continue
    await mkdir(dirname(join(to, name)), { recursive: true, mode: 0o700 })
    await writeFile(join(to, name), content, { mode: 0o600 })
    await sync(join(to, name))
  }
  await writeDurably(join(to, `${secretFiles.logKey}-before-${number}`), encodeLogKey(old))
  await writeDurably(join(to, secretFiles.logKey), encodeLogKey(seed))
  for (const { parentPath } of await readdir(to, { recursive: true, withFileTypes: true })) await syncFolder(parentPath)
}

/** Moves what was there aside and the restored into its place. A power cut in between leaves the mark, and a server refuses to start
 * until the restore was run once more. @returns where the old things lie */
async function exchange(folder: DataFolder, part: string, secrets: string, now: number): Promise<string | null> {
  const old = [folder.database, `${folder.database}-wal`, `${folder.database}-shm`, folder.secrets]
  const there = old.filter((path) => existsSync(path))
  await writeDurably(
    join(folder.path, unfinished),
    "A restore has not come to its end. Run `healthcrypt restore` once more.\n",
  )
  const aside = there.length > 0 ? await newAside(folder, now) : null
  for (const path of there) await rename(path, join(aside!, path.slice(folder.path.length + 1)))
  await rename(secrets, folder.secrets)
  await rename(part, folder.database)
  await clear(part)
  await rm(join(folder.path, newestBackup), { force: true })
  await syncFolder(folder.path)
  await rm(join(folder.path, unfinished))
  await syncFolder(folder.path)
  return aside
}

/** A folder that nothing lies in: of two restores within a second each keeps what it replaces. */
async function newAside(folder: DataFolder, now: number): Promise<string> {
  const time = new Date(now).toISOString().replaceAll(/[-:.]|\d{3}(?=Z)/g, "")
  for (let count = 1; ; count++) {
    const path = join(folder.path, `before-restore-${time}${count === 1 ? "" : `-${count}`}`)
    try {
      await mkdir(path, { mode: 0o700 })
      return path
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error
    }
  }
}

async function hasContent(path: string): Promise<boolean> {
  return ((await stat(path).catch(() => null))?.size ?? 0) > 0
}

function noSecrets(): AppError {
  return new AppError(
    "UNAVAILABLE_STORAGE",
    "The secrets that belong to this backup are not there, and without them there is no restore: put your copy of the folder secrets/ " +
      "into the data folder, or take a backup that was made with --with-secrets.",
  )
}
