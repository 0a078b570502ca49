import { entropyToMnemonic, mnemonicToEntropy } from "@scure/bip39"
import { wordlist } from "@scure/bip39/wordlists/english.js"
import { context } from "../encoding/context.ts"
import { AppError } from "../errors.ts"
import { deriveBytes, newSecretKey, type SecretKey } from "./keys.ts"
import type { SigningSeed } from "./signer.ts"

/** What the 24 recovery words stand for: 32 B. Its BIP-39 seed is never used. */
export type Entropy = SecretKey<"entropy">

/** Fresh entropy and its 24 words. Source: BIP-39 */
export function newWords(): { entropy: Entropy; words: string[] } {
  const entropy = newSecretKey<"entropy">()
  return { entropy, words: entropyToMnemonic(entropy, wordlist).split(" ") }
}

/** The entropy of 24 words as a person types them: any case, any white space, numbered or not. @throws BAD_INPUT_WORDS */
export function parseWords(text: string): Entropy {
  const words = text
    .normalize("NFKD")
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter((word) => word !== "")
  if (words.length !== 24) {
    const count = words.length === 1 ? "This is 1 word" : `These are ${words.length} words`
    throw new AppError("BAD_INPUT_WORDS", `${count}; it takes 24, in their order.`)
  }
  const unknown = words.findIndex((word) => !wordlist.includes(word))
  if (unknown >= 0)
    throw new AppError("BAD_INPUT_WORDS", `Word ${unknown + 1} is no recovery word. Check its spelling.`)
  try {
    return mnemonicToEntropy(words.join(" "), wordlist) as Entropy
  } catch (cause) {
    throw new AppError("BAD_INPUT_WORDS", undefined, { cause })
  }
}

/** The Ed25519 seed that signs a recovery: key(entropy, CTX(recovery-auth)). */
export async function recoverySeed(entropy: Entropy): Promise<SigningSeed> {
  return (await deriveBytes(entropy, context("recovery-auth"))) as SigningSeed
}
