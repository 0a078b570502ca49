import { z } from "zod"
import { importSigningKey } from "#engine"
import { sha256 } from "#sha256"
import { parseBase64 } from "../encoding/base64.ts"
import { encodeHex, equal, parseUtf8, utf8 } from "../encoding/bytes.ts"
import { encodeCbor, parseCbor } from "../encoding/cbor.ts"
import { AppError } from "../errors.ts"
import { logNoteKey, type TreeHead } from "../proof/checkpoint.ts"
import { type CosignatureKey, type SignMessage, signCosignature } from "../proof/cosignature.ts"
import { emptyRoot, verifyConsistency } from "../proof/merkle.ts"
import { encodeVkey, noteTypes, type SplitNote, signatureLine, signaturesUnder, splitNote } from "../proof/note.ts"
import { verifyEd25519 } from "../proof/signature.ts"
import { bytesOf, count } from "../proof/statement.ts"
import { asSecretKey, newSecretKey } from "../vault/keys.ts"
import type { LogIdentity } from "./log.ts"
import type { RestoredLog } from "./restored-log.ts"
import type { ClientStorage } from "./storage.ts"

/** A witness: signs for each log that it knows that its newest checkpoint contains all those before, and nothing else ever.
 * C2SP tlog-witness, docs/formats/log.md */

/** What a request may have: 63 hashes and a checkpoint with some signatures. */
export const witnessBodyBytes = 65_536
const longestProof = 63
const memory = "witness"
const maxStateBytes = 4 * 1024 * 1024

const schema = z.strictObject({
  v: z.literal(1),
  name: z.string().regex(/^[^\s+]{1,200}$/u),
  /** Ed25519, 32 B. It lies with what was signed under it, so that neither is put back without the other. */
  seed: bytesOf(32),
  logs: z.array(
    z.strictObject({
      origin: z.string().min(1),
      logKey: bytesOf(32),
      size: count,
      root: bytesOf(32),
      /** The newest checkpoint that was cosigned, with the log's line and ours; empty before the first. */
      note: z.string(),
    }),
  ),
})
type State = z.output<typeof schema>

export interface WitnessAnswer {
  readonly status: 200 | 400 | 403 | 404 | 409 | 422
  readonly contentType: string
  readonly body: string
}

export interface WitnessOptions {
  readonly storage: ClientStorage
  /** The name it signs under; made up at the first start where left out, and never changed. */
  readonly name: string | null
  /** Logs to accept besides those that it knows already. */
  readonly logs: readonly LogIdentity[]
  /** Asked for a log at the very first start, where none is named. */
  readonly firstLog: () => Promise<LogIdentity>
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** Runs work with the witness of this machine: nobody else signs under its key meanwhile.
 * @throws BAD_INPUT_FORMAT where name or logs contradict what it remembers; CANNOT_OPEN where its file is damaged */
export function withWitness<T>(options: WitnessOptions, work: (witness: Witness) => Promise<T>): Promise<T> {
  const { storage } = options
  return storage.exclusive(memory, async () => {
    const state = await takeIn(await readState(storage), options)
    await storage.put(memory, encodeCbor(state))
    return work(new Witness(state, options, await importSigningKey(asSecretKey(state.seed))))
  })
}

class Witness {
  readonly key: CosignatureKey
  readonly #options: WitnessOptions
  readonly #sign: SignMessage
  #state: State
  #turn: Promise<unknown> = Promise.resolve()

  constructor(state: State, options: WitnessOptions, signer: { publicKey: Uint8Array; sign: SignMessage }) {
    this.#state = state
    this.#options = options
    this.#sign = signer.sign
    this.key = { name: state.name, type: noteTypes.cosignature, publicKey: signer.publicKey }
  }

  /** What others verify its signatures with. */
  get vkey(): string {
    return encodeVkey(this.key)
  }

  get logs(): readonly LogIdentity[] {
    return this.#state.logs
  }

  /** `POST /add-checkpoint`: one at a time; a checkpoint is on the disk before its cosignature leaves.
   * @throws UNAVAILABLE when the disk does not take it: nothing was signed for anybody then */
  addCheckpoint(body: Uint8Array): Promise<WitnessAnswer> {
    const next = this.#turn.then(() => this.#add(body))
    this.#turn = next.catch(() => {})
    return next
  }

  /** Takes in the log that one of its logs was put back to and goes on as. What it has signed of the former one stays signed; of the new
   * one it signs nothing that does not hold what both have. */
  async follow({ former, log, kept }: Pick<RestoredLog, "former" | "log" | "kept">): Promise<void> {
    if (this.#state.logs.some(({ origin }) => origin === log.origin)) return
    const signed = this.signedOf(former)
    const { size, root } = signed.size > kept.size ? kept : signed
    const state = { ...this.#state, logs: [...this.#state.logs, { ...log, size, root, note: "" }] }
    await this.#options.storage.put(memory, encodeCbor(state))
    this.#state = state
  }

  /** The newest tree of a log that it cosigned. */
  signedOf({ origin }: Pick<LogIdentity, "origin">): TreeHead {
    const log = this.#state.logs.find((one) => one.origin === origin)
    return { size: log?.size ?? 0, root: log?.root ?? emptyRoot }
  }

  /** `GET /<SHA-256 of the origin, hex>/checkpoint`: the newest that was cosigned. */
  checkpoint(originHash: string): WitnessAnswer {
    const log = this.#state.logs.find(({ origin }) => encodeHex(sha256(utf8(origin))) === originHash)
    return log === undefined || log.note === ""
      ? refuse(404, "No checkpoint of such a log was cosigned.")
      : ok(log.note)
  }

  async #add(body: Uint8Array): Promise<WitnessAnswer> {
    const request = parseRequest(body)
    if (request === null) return refuse(400, "This is no add-checkpoint request.")
    const { oldSize, proof, origin, size, root, split } = request
    const log = this.#state.logs.find((one) => one.origin === origin)
    if (log === undefined) return refuse(404, "This witness does not know the log.")
    const line = await verifiedLine(split, log)
    if (line === null) return refuse(403, "The log's own signature is missing or wrong.")
    if (oldSize > size) return refuse(400, "The old size is larger than the checkpoint's.")
    if (oldSize !== log.size) return { status: 409, contentType: "text/x.tlog.size", body: `${log.size}\n` }
    if (!verifyConsistency(oldSize, log.root, size, root, proof))
      return refuse(422, "The checkpoint does not contain the one that was cosigned last.")
    const time = Math.floor(this.#options.now() / 1000)
    const cosignature = await signCosignature(this.key, split.text, time, this.#sign)
    await this.#keep({ ...log, size, root, note: `${split.text}\n${line}${cosignature}` })
    return ok(cosignature)
  }

  async #keep(log: State["logs"][number]): Promise<void> {
    const logs = this.#state.logs.map((one) => (one.origin === log.origin ? log : one))
    const state = { ...this.#state, logs }
    await this.#options.storage.put(memory, encodeCbor(state))
    this.#state = state
  }
}

export type { Witness }

interface AddRequest {
  readonly oldSize: number
  readonly proof: readonly Uint8Array[]
  readonly origin: string
  readonly size: number
  readonly root: Uint8Array
  readonly split: SplitNote
}

/** An old size, up to 63 hashes, an empty line, a checkpoint. Null for anything else. */
function parseRequest(body: Uint8Array): AddRequest | null {
  if (body.length > witnessBodyBytes) return null
  try {
    const text = parseUtf8(body)
    const [, old, hashes, note] = /^old (\d{1,16})\n((?:[A-Za-z0-9+/]{43}=\n)*)\n([\s\S]*\n)$/.exec(text) ?? []
    const split = splitNote(note ?? "")
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a note must have none but line feeds
    if (old === undefined || split === null || /[\x00-\x09\x0b-\x1f]/.test(text)) return null
    const [, origin, size, root] = /^([^\n]+)\n(\d{1,16})\n([A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*$/.exec(split.text) ?? []
    const proof = hashes!.split("\n").slice(0, -1).map(parseBase64)
    if (origin === undefined || proof.length > longestProof) return null
    return { oldSize: parseSize(old), proof, origin, size: parseSize(size!), root: parseBase64(root!), split }
  } catch {
    return null
  }
}

/** @throws RangeError for a leading zero and for what is not below 2^53 */
function parseSize(text: string): number {
  const size = Number(text)
  if (!Number.isSafeInteger(size) || String(size) !== text) throw new RangeError("no size")
  return size
}

/** The log's own signature line; null where there is none, or where any under its name and id is wrong. */
async function verifiedLine(split: SplitNote, { origin, logKey }: LogIdentity): Promise<string | null> {
  const key = logNoteKey(origin, logKey)
  const signatures = signaturesUnder(key, split)
  for (const signature of signatures) if (!(await verifyEd25519(logKey, utf8(split.text), signature))) return null
  return signatures.length === 0 ? null : signatureLine(key, signatures[0]!)
}

function ok(body: string): WitnessAnswer {
  return { status: 200, contentType: "text/plain; charset=utf-8", body }
}

function refuse(status: 400 | 403 | 404 | 422, why: string): WitnessAnswer {
  return { status, contentType: "text/plain; charset=utf-8", body: `${why}\n` }
}

async function readState(storage: ClientStorage): Promise<State | null> {
  const bytes = await storage.get(memory)
  if (bytes === null) return null
  try {
    return schema.parse(parseCbor(bytes, maxStateBytes))
  } catch (cause) {
    const advice =
      "What this witness remembers is damaged. Do not put an older copy back: move the file away, and begin with a new key."
    throw new AppError("CANNOT_OPEN", advice, { cause })
  }
}

/** What is remembered, with the name and the logs that were given now. */
async function takeIn(before: State | null, { name, logs, firstLog }: WitnessOptions): Promise<State> {
  const seed = before?.seed ?? newSecretKey<"signing">()
  const kept = before?.logs ?? []
  if (before !== null && name !== null && name !== before.name)
    throw new AppError("BAD_INPUT_FORMAT", `This witness signs as ${before.name}, and a name is for ever.`)
  const wanted = logs.length === 0 && kept.length === 0 ? [await firstLog()] : logs
  const added: State["logs"] = []
  for (const { origin, logKey } of wanted) {
    const known = [...kept, ...added].find((one) => one.origin === origin)
    if (known === undefined) added.push({ origin, logKey, size: 0, root: emptyRoot, note: "" })
    else if (!equal(known.logKey, logKey))
      throw new AppError("BAD_INPUT_FORMAT", `This witness knows another key for the log ${origin}.`)
  }
  const state = { v: 1, name: before?.name ?? name ?? (await nameOf(seed)), seed, logs: [...kept, ...added] }
  const checked = schema.safeParse(state)
  if (!checked.success) throw new AppError("BAD_INPUT_FORMAT", "A witness's name has no spaces and no plus signs.")
  return checked.data
}

/** A name that no other witness has. */
async function nameOf(seed: Uint8Array): Promise<string> {
  const { publicKey } = await importSigningKey(asSecretKey(seed))
  return `healthcrypt-witness/${encodeHex(publicKey.subarray(0, 8))}`
}
