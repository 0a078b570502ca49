import { sha256 } from "#sha256"
import { encodeBase64 } from "../encoding/base64.ts"
import { encodeHex, parseUtf8, utf8 } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import type { Checkpoint } from "../proof/checkpoint.ts"
import { verifyCosignature } from "../proof/cosignature.ts"
import { encodeVkey, type NoteKey, noteTypes, parseVkey, splitNote } from "../proof/note.ts"
import { inconsistent } from "./log-findings.ts"
import { fetchConsistency } from "./tiles.ts"
import type { HttpResponse, Send } from "./transport.ts"

/** A witness whose word is wanted on every checkpoint. */
export interface AskedWitness {
  readonly key: NoteKey
  /** Where it is asked; null where its line has to stand in the checkpoint as the server gives it. */
  readonly at: {
    readonly send: Send
    /** What its paths begin with; empty, or a path without a slash at its end. */
    readonly prefix: string
  } | null
}

/** It has cosigned this tree: its lines, where the checkpoint lacks them. Or it holds to another checkpoint of the same log, whose log
 * signature nobody has verified yet. */
export type WitnessWord =
  | { readonly kind: "cosigned"; readonly lines: string }
  | { readonly kind: "holds to another"; readonly note: string }

const attempts = 4
const linesAtMost = 16

/** A witness's key as its operator gives it out. @throws BAD_INPUT_FORMAT */
export function parseWitness(vkey: string): NoteKey {
  const key = parseVkey(vkey)
  if (key.type === noteTypes.cosignature) return key
  throw new AppError(
    "BAD_INPUT_FORMAT",
    "This is the key of a log, not of a witness. Ask the witness's operator for its own.",
  )
}

/** Hears a witness on a checkpoint whose tree is known to be this one. C2SP tlog-witness
 * @param send to the log, for proofs @param guess the size that it may have cosigned last
 * @throws TAMPERED_LOG where its word is missing or does not verify; UNAVAILABLE_… where it does not answer */
export async function hearWitness(
  send: Send,
  { key, at }: AskedWitness,
  note: string,
  tree: Checkpoint,
  guess: number,
): Promise<WitnessWord> {
  if (at === null) {
    if ((await verifyCosignature(key, note)) === null) throw silent(key)
    return { kind: "cosigned", lines: "" }
  }
  let old = guess
  for (let attempt = 0; attempt < attempts; attempt++) {
    const proof = old === 0 || old === tree.size ? [] : await fetchConsistency(send, old, tree.size)
    const text = [`old ${old}`, ...proof.map(encodeBase64), "", note].join("\n")
    const answer = await ask(at, "POST", "/add-checkpoint", utf8(text))
    const body = textOf(answer)
    if (answer.status === 200) {
      return { kind: "cosigned", lines: await ownLine(key, note, body) }
    }
    if (answer.status === 422) return holdsTo(at, tree.origin)
    if (answer.status !== 409 || !/^(0|[1-9]\d{0,15})\n$/.test(body)) throw useless(key, answer.status)
    old = Number(body)
    if (old > tree.size) return holdsTo(at, tree.origin)
  }
  throw useless(key, 409)
}

/** The one line of an answer that is its word on this checkpoint. */
async function ownLine(key: NoteKey, note: string, answer: string): Promise<string> {
  const text = splitNote(note)?.text ?? ""
  for (const line of answer.split("\n", linesAtMost))
    if ((await verifyCosignature(key, `${text}\n${line}\n`)) !== null) return `${line}\n`
  throw silent(key)
}

/** The newest checkpoint that it has cosigned. */
async function holdsTo(at: NonNullable<AskedWitness["at"]>, origin: string): Promise<WitnessWord> {
  const hash = encodeHex(sha256(utf8(origin)))
  const answer = await ask(at, "GET", `/${hash}/checkpoint`)
  if (answer.status !== 200)
    throw new AppError("UNAVAILABLE", "The witness contradicts the server, and does not show what it has cosigned.")
  return { kind: "holds to another", note: textOf(answer) }
}

async function ask(
  at: NonNullable<AskedWitness["at"]>,
  method: "GET" | "POST",
  path: string,
  body?: Uint8Array,
): Promise<HttpResponse> {
  try {
    return await at.send({ method, path: at.prefix + path, headers: {}, ...(body === undefined ? {} : { body }) })
  } catch (cause) {
    if (!(cause instanceof AppError && cause.is("UNAVAILABLE"))) throw cause
    throw new AppError("UNAVAILABLE_SERVER", "The witness cannot be reached. Check that it runs, and its address.", {
      cause,
    })
  }
}

function textOf({ body }: HttpResponse): string {
  try {
    return parseUtf8(body)
  } catch {
    return ""
  }
}

function silent(key: NoteKey): AppError {
  return inconsistent("TAMPERED_LOG", `A checkpoint that ${encodeVkey(key)} has cosigned.`, "None by it.")
}

function useless(key: NoteKey, status: number): AppError {
  const why = status === 404 ? "does not know this log" : `answers with status ${status}`
  return new AppError("UNAVAILABLE", `The witness ${key.name} ${why}. Ask whoever runs it.`)
}
