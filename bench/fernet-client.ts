import fernet from "fernet"
import { decrypt, encodeKey, encrypt, importKey } from "../src/vault/fernet.ts"
import { answerParent } from "./child.ts"

export interface AskFernet {
  readonly by: "ours" | "npm"
  readonly bytes: number
  readonly ms: number
}

const secret = new Uint8Array(32).fill(7)

/** Encrypts and decrypts again, one after the other, for `ms`. @returns round trips a second */
answerParent(({ by, bytes, ms }: AskFernet) => (by === "ours" ? ours(bytes, ms) : npm(bytes, ms)))

async function ours(bytes: number, ms: number): Promise<number> {
  const key = await importKey(secret)
  const message = new Uint8Array(bytes).fill(0x61)
  let turns = 0
  const from = performance.now()
  let now = from
  for (; now - from < ms; now = performance.now()) {
    const back = await decrypt(key, await encrypt(key, message))
    if (back.length !== bytes) throw new Error("the message came back changed")
    turns++
  }
  return (turns * 1000) / (now - from)
}

async function npm(bytes: number, ms: number): Promise<number> {
  const key = new fernet.Secret(encodeKey(secret))
  const message = "a".repeat(bytes)
  let turns = 0
  const from = performance.now()
  let now = from
  for (; now - from < ms; now = performance.now()) {
    const token = new fernet.Token({ secret: key }).encode(message)
    const back = new fernet.Token({ secret: key, token, ttl: 0 }).decode()
    if (back.length !== bytes) throw new Error("the message came back changed")
    turns++
  }
  return (turns * 1000) / (now - from)
}
