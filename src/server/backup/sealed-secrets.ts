import { argon2Sync, createCipheriv, createDecipheriv, randomBytes } from "node:crypto"
import { z } from "zod"
import { concat, u64be, utf8 } from "../../encoding/bytes.ts"
import { encodeCbor, parseCbor } from "../../encoding/cbor.ts"
import { idBytes, type PracticeId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import type { TreeHead } from "../../proof/checkpoint.ts"
import { anyBytes } from "../../proof/statement.ts"

/** What a backup has beyond a server's own tables. SQLite keeps the text of a table as it was made. */
export const backupTable = {
  name: "backup_secrets",
  sql: "CREATE TABLE backup_secrets (id integer primary key, sealed blob not null, sealed_sha256 blob not null)",
} as const

const magic = utf8("healthcrypt backup secrets v1\n")
/** Argon2id: KiB, passes, lanes. A stolen backup is guessed at for as long as somebody likes. */
const cost = { memory: 262_144, passes: 3, parallelism: 4 }
const largest = { memory: 1_048_576, passes: 16, parallelism: 16 }
const saltBytes = 16
const nonceBytes = 12
const tagBytes = 16
const headBytes = magic.length + 12 + saltBytes + nonceBytes
const maxBytes = 4 * 1024 * 1024
const shortest = 12

const path = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,100}(\/[A-Za-z0-9._-]{1,100})?$/)
  .refine((text) => !/(^|\/)\.\.?($|\/)/.test(text))
const content = z.strictObject({ v: z.literal(1), files: z.array(z.tuple([path, anyBytes])).max(200) })

/** The files of a secrets folder by their path in it, such as `tls/server.pem`. */
export type SecretFiles = ReadonlyMap<string, Uint8Array>

/** What the sealed secrets are bound to: those of another backup do not open. */
export interface BackupName {
  readonly practice: PracticeId
  readonly tree: TreeHead
}

/** Seals the secrets folder under a passphrase. Format: docs/formats/backup.md
 * @param random salt (16 B), then nonce (12 B). @throws BAD_INPUT_PASSWORD for a passphrase of fewer than 12 characters */
export function sealSecrets(
  files: SecretFiles,
  passphrase: string,
  about: BackupName,
  random: (size: number) => Uint8Array = (size) => new Uint8Array(randomBytes(size)),
): Uint8Array {
  demandPassphrase(passphrase)
  const salt = random(saltBytes)
  const head = concat(magic, u32s(cost.memory, cost.passes, cost.parallelism), salt, random(nonceBytes))
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1))
  const plain = encodeCbor({ v: 1, files: sorted })
  const cipher = createCipheriv("aes-256-gcm", keyOf(passphrase, salt, cost), head.subarray(-nonceBytes))
  cipher.setAAD(concat(head, boundTo(about)))
  const sealed = concat(cipher.update(plain), cipher.final())
  return concat(head, sealed, new Uint8Array(cipher.getAuthTag()))
}

/** @throws CANNOT_OPEN: the passphrase is wrong, or the bytes were cut, changed or belong to another backup */
export function openSealedSecrets(sealed: Uint8Array, passphrase: string, about: BackupName): SecretFiles {
  try {
    const head = sealed.subarray(0, headBytes)
    const view = new DataView(head.buffer, head.byteOffset, head.length)
    const [memory, passes, parallelism] = [0, 4, 8].map((at) => view.getUint32(magic.length + at))
    const given = { memory: memory!, passes: passes!, parallelism: parallelism! }
    const known = magic.every((byte, i) => head[i] === byte)
    if (!known || Object.entries(largest).some(([name, most]) => given[name as keyof typeof given] > most))
      throw new Error("not sealed secrets")
    const salt = head.subarray(-nonceBytes - saltBytes, -nonceBytes)
    const decipher = createDecipheriv("aes-256-gcm", keyOf(passphrase, salt, given), head.subarray(-nonceBytes))
    decipher.setAAD(concat(head, boundTo(about)))
    decipher.setAuthTag(sealed.subarray(-tagBytes))
    const plain = concat(decipher.update(sealed.subarray(headBytes, -tagBytes)), decipher.final())
    return new Map(content.parse(parseCbor(plain, maxBytes)).files)
  } catch (cause) {
    const advice =
      "The secrets in this backup do not open. The passphrase is wrong, or the file was cut or changed. Nothing was restored."
    throw new AppError("CANNOT_OPEN", advice, { cause })
  }
}

/** @throws BAD_INPUT_PASSWORD */
export function demandPassphrase(passphrase: string): void {
  if ([...passphrase.normalize("NFC")].length < shortest)
    throw new AppError("BAD_INPUT_PASSWORD", "Choose a passphrase of at least 12 characters for the backup's secrets.")
}

function keyOf(passphrase: string, nonce: Uint8Array, { memory, passes, parallelism }: typeof cost): Buffer {
  const message = Buffer.from(passphrase.normalize("NFC"), "utf8")
  return argon2Sync("argon2id", { message, nonce, memory, passes, parallelism, tagLength: 32 })
}

function boundTo({ practice, tree }: BackupName): Uint8Array {
  return concat(idBytes(practice), u64be(tree.size), tree.root)
}

function u32s(...numbers: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(numbers.length * 4)
  const view = new DataView(bytes.buffer)
  for (const [i, number] of numbers.entries()) view.setUint32(i * 4, number)
  return bytes
}
