import { generateKeyPairSync, sign } from "node:crypto"
import { describe, expect, it } from "vitest"
import { parseUtf8, utf8 } from "../encoding/bytes.ts"
import { encodeCheckpoint, encodeNote, openNote } from "./checkpoint.ts"
import { cosignatureMessage, signCosignature, verifyCosignature } from "./cosignature.ts"
import { emptyRoot } from "./merkle.ts"
import { noteTypes, parseVkey, signatureLine, signaturesUnder, splitNote } from "./note.ts"
import { verifyEd25519 } from "./signature.ts"

/** A checkpoint of a running log with five witnesses' lines, and the public keys of the log and of one of them. Source: published by
 * arche2025h1.staging.ct.transparency.dev on 23 May 2026; the witness's key stands in github.com/transparency-dev/formats too. */
const published = `arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

\u2014 arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
\u2014 arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
\u2014 transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
\u2014 witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
\u2014 remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
\u2014 witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
`
const publishedLog = parseVkey(
  "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f",
)
const publishedWitness = parseVkey("remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2")

const { publicKey, privateKey } = generateKeyPairSync("ed25519")
const witness = {
  name: "witness.example/w1",
  type: noteTypes.cosignature,
  publicKey: new Uint8Array(publicKey.export({ type: "spki", format: "der" }).subarray(-32)),
} as const
const signIt = (message: Uint8Array) => new Uint8Array(sign(null, message, privateKey))
const text = encodeCheckpoint({ origin: "example.com/log", size: 0, root: emptyRoot })

describe("a cosignature", () => {
  it("of a running witness verifies, and so does its log's signature", async () => {
    expect(await verifyCosignature(publishedWitness, published)).toBe(0x6a122120)
    const { size } = await openNote(published, publishedLog.name, publishedLog.publicKey)
    expect(size).toBe(1_432_088_532)
    expect(await verifyCosignature(publishedWitness, published.replace("1432088532", "1432088533"))).toBeNull()
  })

  it("covers what the published example covers", () => {
    // Source: c2sp.org/tlog-cosignature, "Ed25519 signed message" and the first example's 8 bytes of time
    const body = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    expect(parseUtf8(cosignatureMessage(body, 1_679_315_147))).toBe(`cosignature/v1\ntime 1679315147\n${body}`)
    const line =
      "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA=="
    const bytes = Buffer.from(line, "base64")
    expect([bytes.length, Number(bytes.readBigUInt64BE(4))]).toEqual([4 + 8 + 64, 1_679_315_147])
  })

  it("that was made here verifies, and tells its time", async () => {
    const line = await signCosignature(witness, text, 1_800_000_000, signIt)
    expect(line).toMatch(/^\u2014 witness\.example\/w1 [A-Za-z0-9+/]{102}==\n$/)
    const note = encodeNote(
      { origin: "example.com/log", size: 0, root: emptyRoot },
      new Uint8Array(32),
      new Uint8Array(64),
    )
    expect(await verifyCosignature(witness, note)).toBeNull()
    expect(await verifyCosignature(witness, note + line)).toBe(1_800_000_000)
    const later = await signCosignature(witness, text, 1_800_000_007, signIt)
    expect(await verifyCosignature(witness, `${note}\u2014 x AAAAAAAA\nnoise\n${later}${line}`)).toBe(1_800_000_007)
    const [bytes] = signaturesUnder(witness, splitNote(note + line)!)
    expect(await verifyEd25519(witness.publicKey, cosignatureMessage(text, 1_800_000_000), bytes!.subarray(8))).toBe(
      true,
    )
  })

  it("says nothing once any byte of it, or of the text, has changed", async () => {
    const line = await signCosignature(witness, text, 1_800_000_000, signIt)
    for (let at = 0; at < text.length - 1; at++) {
      const changed = `${text.slice(0, at)}${text[at] === "x" ? "y" : "x"}${text.slice(at + 1)}`
      expect(await verifyCosignature(witness, `${changed}\n${line}`), `character ${at}`).toBeNull()
    }
    const bytes = Buffer.from(line.trimEnd().split(" ")[2]!, "base64")
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at]! ^= 1
      const note = `${text}\n\u2014 ${witness.name} ${changed.toString("base64")}\n`
      expect(await verifyCosignature(witness, note), `byte ${at}`).toBeNull()
    }
  })

  it("of another kind, length or time is none", async () => {
    const plain = `${text}\n\u2014 ${witness.name} `
    expect(await verifyCosignature({ ...witness, type: noteTypes.text }, plain)).toBeNull()
    expect(await verifyCosignature(witness, "")).toBeNull()
    expect(await verifyCosignature(witness, `${plain}AAAA\n`)).toBeNull()
    for (const length of [1, 7, 8, 64, 71, 73]) {
      const short = signatureLine(witness, new Uint8Array(length).fill(1))
      expect(await verifyCosignature(witness, `${text}\n${short}`), `${length} bytes`).toBeNull()
    }
    for (const time of [0, -1, 1.5, 2 ** 53, Number.NaN])
      await expect(signCosignature(witness, text, time, signIt)).rejects.toThrow(RangeError)
    await expect(signCosignature(witness, text, 1, () => utf8("short"))).rejects.toThrow(RangeError)
    const line = await signCosignature(witness, text, 1, signIt)
    const far = Buffer.from(line.trimEnd().split(" ")[2]!, "base64")
    for (const time of [0n, 2n ** 53n, 2n ** 64n - 1n]) {
      far.writeBigUInt64BE(time, 4)
      expect(await verifyCosignature(witness, `${plain}${far.toString("base64")}\n`)).toBeNull()
    }
  })
})
