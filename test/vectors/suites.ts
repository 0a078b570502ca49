import { decryptCbc, encryptCbc, importCipherKey, importMacKey, mac, verifyMac } from "#engine"
import { xwing } from "#xwing"
import { parseBase64 } from "../../src/encoding/base64.ts"
import { concat, equal, parseUtf8, utf8 } from "../../src/encoding/bytes.ts"
import { AppError } from "../../src/errors.ts"
import { verifyInclusion } from "../../src/proof/merkle.ts"
import { checkPublicKey, verifyEd25519 } from "../../src/proof/signature.ts"
import { decrypt, encodeToken, encrypt, importKey, parseKey, parseToken } from "../../src/vault/fernet.ts"
import type {
  CbcFile,
  FernetCase,
  HkdfFile,
  HmacFile,
  InclusionCase,
  PublicKeyCase,
  SignatureFile,
  XwingCase,
} from "./files.ts"

/** What one case demands and what this engine did. */
export interface Outcome {
  readonly id: string
  readonly expected: "valid" | "invalid"
  readonly actual: "valid" | "invalid"
}

/** Runs the cases of one published file on the engine of the platform that this is loaded on. */
export const suites = {
  async fernetGenerate(cases: readonly FernetCase[]): Promise<Outcome[]> {
    return Promise.all(
      cases.map(async (item) => {
        const key = await importKey(parseKey(item.secret))
        const options = { now: Date.parse(item.now), iv: Uint8Array.from(item.iv ?? []) }
        const token = encodeToken(await encrypt(key, utf8(item.src ?? ""), options))
        return outcome(item.token, true, token === item.token)
      }),
    )
  },

  async fernetVerify(cases: readonly FernetCase[]): Promise<Outcome[]> {
    return Promise.all(cases.map(async (item) => outcome(item.token, true, (await openToken(item)) === item.src)))
  },

  async fernetInvalid(cases: readonly FernetCase[]): Promise<Outcome[]> {
    return Promise.all(
      cases.map(async (item) => outcome(item.desc ?? item.token, false, (await openToken(item)) !== null)),
    )
  },

  /** A truncated tag is compared with the beginning of ours; a whole one goes through the constant-time check as well. */
  async hmac(file: HmacFile): Promise<Outcome[]> {
    return perCase(file, async (item, group) => {
      const key = await importMacKey(hex(item.key))
      const tag = hex(item.tag)
      const same = equal((await mac(key, hex(item.msg))).subarray(0, group.tagSize / 8), tag)
      if (tag.length === 32 && (await verifyMac(key, hex(item.msg), tag)) !== same) throw new Error("verifyMac differs")
      return same
    })
  },

  async hkdf(file: HkdfFile): Promise<Outcome[]> {
    return perCase(file, async (item) => {
      const okm = await hkdf(hex(item.ikm), hex(item.salt), hex(item.info), item.size)
      return okm !== null && equal(okm, hex(item.okm))
    })
  },

  async ed25519(file: SignatureFile): Promise<Outcome[]> {
    return perCase(file, async (item, group) => verifyEd25519(hex(group.publicKey.pk), hex(item.msg), hex(item.sig)))
  },

  /** Public keys: whether they would be taken in. */
  async publicKeys(cases: readonly PublicKeyCase[]): Promise<Outcome[]> {
    return cases.map(({ pk, result }) => {
      try {
        checkPublicKey(hex(pk))
        return outcome(pk, result === "valid", true)
      } catch {
        return outcome(pk, result === "valid", false)
      }
    })
  },

  /** AES-128 alone: no other length is used, and Chromium has no AES-192. */
  async aesCbc(file: CbcFile): Promise<Outcome[]> {
    return perCase({ testGroups: file.testGroups.filter((group) => group.keySize === 128) }, async (item) => {
      const key = await importCipherKey(hex(item.key))
      const message = hex(item.msg)
      const ciphertext = hex(item.ct)
      try {
        if (!equal(await decryptCbc(key, hex(item.iv), ciphertext), message)) return false
      } catch {
        return false
      }
      const again = new Uint8Array(message.length - (message.length % 16) + 16)
      await encryptCbc(key, hex(item.iv), message, again)
      return equal(again, ciphertext)
    })
  },

  /** X-Wing as grants use it: what was encapsulated comes out; of a ciphertext or a seed that is another, something else. And what is
   * encapsulated to the public key comes out with the seed. */
  async xwing(cases: readonly XwingCase[]): Promise<Outcome[]> {
    const kem = xwing()
    const secretOf = async (ct: Bytes, sk: Bytes, pk: Bytes) =>
      kem.Decap(ct, await kem.DeserializePrivateKey(sk, false), await kem.DeserializePublicKey(pk))
    const flipped = (bytes: Bytes, at: number) => bytes.with(at, bytes[at]! ^ 1)
    const outcomes = await Promise.all(
      cases.map(async (item, i) => {
        const [ss, sk, pk, ct] = [hex(item.ss), hex(item.sk), hex(item.pk), hex(item.ct)]
        const is = async (...parts: Parameters<typeof secretOf>) => equal(await secretOf(...parts), ss)
        const { enc, shared_secret } = await kem.Encap(await kem.DeserializePublicKey(pk))
        const back = await secretOf(new Uint8Array(enc), sk, pk)
        return [
          outcome(`decapsulates ${i}`, true, equal(hex(item.seed), sk) && (await is(ct, sk, pk))),
          outcome(`round trip ${i}`, true, ct.length === enc.length && equal(back, new Uint8Array(shared_secret))),
          outcome(`ML-KEM ciphertext flipped ${i}`, false, await is(flipped(ct, 7), sk, pk)),
          outcome(`X25519 key flipped ${i}`, false, await is(flipped(ct, 1119), sk, pk)),
          outcome(`seed flipped ${i}`, false, await is(ct, flipped(sk, 3), pk)),
        ]
      }),
    )
    return outcomes.flat()
  },

  async inclusion(cases: readonly InclusionCase[]): Promise<Outcome[]> {
    return cases.map((item) => {
      const proof = (item.proof ?? []).map((hash) => parseBase64(hash ?? ""))
      const leaf = parseBase64(item.leafHash ?? "")
      const held = verifyInclusion(leaf, item.leafIdx, item.treeSize, proof, parseBase64(item.root ?? ""))
      return outcome(`${item.desc} ${item.leafIdx}/${item.treeSize}`, !item.wantErr, held)
    })
  },
}

/** The message as text, or null where the token is refused. Any error that is not an AppError fails the test. */
async function openToken(item: FernetCase): Promise<string | null> {
  try {
    const key = await importKey(parseKey(item.secret))
    const options = { ttlSeconds: item.ttl_sec ?? 0, now: Date.parse(item.now) }
    return parseUtf8(await decrypt(key, parseToken(item.token), options))
  } catch (error) {
    if (error instanceof AppError) return null
    throw error
  }
}

/** HKDF by HMAC alone: extract, then expand, whose first block is key(K, context) of docs/formats/token.md. Null above 255 blocks. */
async function hkdf(ikm: Bytes, salt: Bytes, info: Bytes, size: number): Promise<Bytes | null> {
  if (size > 255 * 32) return null
  const key = await importMacKey(await mac(await importMacKey(salt.length > 0 ? salt : new Uint8Array(32)), ikm))
  const blocks: Bytes[] = []
  for (let i = 1; i <= Math.ceil(size / 32); i++) {
    blocks.push(await mac(key, concat(blocks.at(-1) ?? new Uint8Array(0), info, Uint8Array.of(i))))
  }
  return concat(...blocks).slice(0, size)
}

type Bytes = Uint8Array<ArrayBuffer>

interface Group<Case> {
  readonly tests: readonly Case[]
}

async function perCase<Case extends { tcId: number; result: string }, In extends Group<Case>>(
  file: { readonly testGroups: readonly (In & Group<Case>)[] },
  run: (item: Case, group: In) => Promise<boolean>,
): Promise<Outcome[]> {
  const cases = file.testGroups.flatMap((group) => group.tests.map((item) => ({ item, group })))
  return Promise.all(
    cases.map(async ({ item, group }) => {
      if (item.result !== "valid" && item.result !== "invalid") throw new Error(`case ${item.tcId} is ${item.result}`)
      return outcome(`case ${item.tcId}`, item.result === "valid", await run(item, group))
    }),
  )
}

function outcome(id: string, expected: boolean, actual: boolean): Outcome {
  return { id, expected: expected ? "valid" : "invalid", actual: actual ? "valid" : "invalid" }
}

function hex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))
}
