import { sha256 } from "#sha256"
import { encodeHex, parseUtf8, utf8 } from "../../encoding/bytes.ts"
import { AppError } from "../../errors.ts"
import { verifyCosignature } from "../../proof/cosignature.ts"
import type { WitnessAddress } from "../witnesses.ts"

const answerMs = 10_000
const largestAnswer = 16_384

/** The newest checkpoint of a log that a witness has cosigned; empty where it has seen none.
 * @throws UNAVAILABLE where it does not answer, or not with its own signature */
export async function askWitness({ key, url }: WitnessAddress, origin: string): Promise<string> {
  const trouble = (cause?: unknown) =>
    new AppError(
      "UNAVAILABLE",
      `The witness ${key.name} cannot be asked what it has seen. Try again, or leave --witness out.`,
      { cause },
    )
  try {
    const response = await fetch(`${url}/${encodeHex(sha256(utf8(origin)))}/checkpoint`, {
      redirect: "error",
      signal: AbortSignal.timeout(answerMs),
    })
    if (response.status === 404) return ""
    const bytes = new Uint8Array(await response.arrayBuffer())
    const note = bytes.length > largestAnswer ? "" : parseUtf8(bytes)
    if (response.status !== 200 || (await verifyCosignature(key, note)) === null)
      throw new Error("no cosigned checkpoint")
    return note
  } catch (cause) {
    throw trouble(cause)
  }
}
