import { encodeBase64 } from "../encoding/base64.ts"
import { parseUtf8 } from "../encoding/bytes.ts"
import { verifyCosignature } from "../proof/cosignature.ts"
import { type NoteKey, noteTypes, parseVkey } from "../proof/note.ts"
import type { Store } from "./store/store.ts"

type Log = Pick<Store, "treeHead" | "prefixes">

/** Where a witness is reached, and the key that its cosignatures verify under. */
export interface WitnessAddress {
  readonly key: NoteKey
  /** Without a slash at its end. */
  readonly url: string
}

/** Reads `<vkey>=<url>`, the vkey as C2SP signed-note spells it; null for anything else. */
export function parseWitnessAddress(text: string): WitnessAddress | null {
  const [, vkey, url] = /^(\S+\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44})=(https?:\/\/\S+?)\/*$/.exec(text) ?? []
  if (vkey === undefined || url === undefined || !URL.canParse(url)) return null
  try {
    const key = parseVkey(vkey)
    return key.type === noteTypes.cosignature ? { key, url } : null
  } catch {
    return null
  }
}

const askEveryMs = 1000
const longestPauseMs = 60_000
const answerMs = 10_000
const largestAnswer = 16_384

/** Tells that a witness stopped cosigning, and why, or that it does again. */
export type WitnessReport = (name: string, trouble: string | null) => void

/** Has every new checkpoint cosigned, at most one a second, in the background: no write waits for a witness.
 * Format: C2SP tlog-witness, tlog-cosignature; docs/formats/log.md */
export class Witnesses {
  readonly #all: readonly Asking[]
  readonly #ended = new AbortController()
  #timer: NodeJS.Timeout | null = null

  constructor(store: Log, addresses: readonly WitnessAddress[], report: WitnessReport) {
    this.#all = addresses.map((address) => new Asking(store, address, report, this.#ended.signal))
  }

  start(): void {
    if (this.#all.length === 0) return
    this.#timer = setInterval(() => {
      for (const one of this.#all) one.look()
    }, askEveryMs)
    this.#timer.unref()
  }

  /** A signed checkpoint with the lines of those who have cosigned this very one. */
  cosigned(note: string): string {
    return note + this.#all.map((one) => one.lineFor(note)).join("")
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#ended.abort()
  }
}

/** One witness, asked one thing at a time. */
class Asking {
  readonly #store: Log
  readonly #address: WitnessAddress
  readonly #report: WitnessReport
  readonly #ended: AbortSignal
  /** What the witness cosigned last, as far as we know. */
  #size = 0
  #note = ""
  #line = ""
  #busy = false
  #failures = 0
  #pausedUntil = 0

  constructor(store: Log, address: WitnessAddress, report: WitnessReport, ended: AbortSignal) {
    this.#store = store
    this.#address = address
    this.#report = report
    this.#ended = ended
  }

  lineFor(note: string): string {
    return this.#note === note ? this.#line : ""
  }

  /** Asks if there is something new. Fails slower and slower. */
  look(): void {
    const { note, size } = this.#store.treeHead()
    if (this.#busy || size === 0 || note === this.#note || performance.now() < this.#pausedUntil) return
    this.#busy = true
    this.#ask()
      .then(
        () => this.#succeed(),
        (error: unknown) => this.#fail(error),
      )
      .finally(() => {
        this.#busy = false
      })
  }

  #succeed(): void {
    if (this.#failures > 0) this.#report(this.#address.key.name, null)
    this.#failures = 0
  }

  #fail(error: unknown): void {
    if (this.#ended.aborted) return
    if (this.#failures === 0) this.#report(this.#address.key.name, troubleOf(error))
    this.#pausedUntil = performance.now() + Math.min(askEveryMs * 2 ** this.#failures++, longestPauseMs)
  }

  async #ask(): Promise<void> {
    const { note, size } = this.#store.treeHead()
    let answer = await this.#post(note, size)
    if (answer.status === 409) {
      // It has cosigned more, or less, than we remember: it says how much.
      this.#size = sizeOf(answer.text)
      answer = await this.#post(note, size)
    }
    if (answer.status !== 200) throw new Trouble(`it answered ${answer.status}`)
    for (const line of answer.text.split("\n").filter(Boolean)) {
      if ((await verifyCosignature(this.#address.key, `${note}${line}\n`)) === null) continue
      this.#size = size
      this.#note = note
      this.#line = `${line}\n`
      return
    }
    throw new Trouble("its cosignature does not verify")
  }

  async #post(note: string, size: number): Promise<{ status: number; text: string }> {
    if (this.#size > size) throw new Trouble(`it has cosigned ${this.#size} leaves of this log, which has ${size}`)
    const [proof] = await this.#store.prefixes([this.#size], size)
    const lines = [`old ${this.#size}`, ...proof!.map(encodeBase64), "", note]
    const response = await fetch(`${this.#address.url}/add-checkpoint`, {
      method: "POST",
      headers: { "content-type": "text/plain; charset=utf-8" },
      body: lines.join("\n"),
      redirect: "error",
      signal: AbortSignal.any([this.#ended, AbortSignal.timeout(answerMs)]),
    })
    return { status: response.status, text: await readText(response) }
  }
}

/** What a witness does wrong, in words for whoever runs the server. */
class Trouble extends Error {}

function troubleOf(error: unknown): string {
  if (error instanceof Trouble) return error.message
  const cause = error instanceof Error ? error.cause : null
  return cause instanceof Error && "code" in cause
    ? `it cannot be reached: ${String(cause.code)}`
    : "it cannot be reached"
}

/** @throws Trouble for anything but a size and its line feed */
function sizeOf(text: string): number {
  const size = Number(text)
  if (!/^(0|[1-9]\d{0,15})\n$/.test(text) || !Number.isSafeInteger(size))
    throw new Trouble("it answered 409 and no size")
  return size
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of response.body ?? []) {
    sizeBytes += chunk.length
    if (sizeBytes > largestAnswer) throw new Trouble("its answer is too long")
    chunks.push(chunk)
  }
  return parseUtf8(Buffer.concat(chunks))
}
