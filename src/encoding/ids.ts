import { AppError } from "../errors.ts"
import { encodeBase64url, parseBase64url } from "./base64.ts"

/** 16 random bytes, written as 22 characters of base64url. No id is made from anything about a patient. */
export type Id<Kind extends string = string> = string & { readonly id: Kind }
export type PhysicianId = Id<"physician">
export type RecordId = Id<"record">
export type PracticeId = Id<"practice">
export type SessionId = Id<"session">
export type SegmentId = Id<"segment">
export type DeviceId = Id<"device">

/** A fresh id from the platform's cryptographic randomness. None begins with a hyphen, which a command line would take for an option. */
export function newId<Kind extends string>(): Id<Kind> {
  for (;;) {
    const id = encodeBase64url(crypto.getRandomValues(new Uint8Array(16)))
    if (!id.startsWith("-")) return id as Id<Kind>
  }
}

/** The 16 bytes of an id. @throws BAD_INPUT_FORMAT */
export function idBytes(id: Id): Uint8Array<ArrayBuffer> {
  const bytes = id.length === 22 ? parseBase64url(id) : null
  if (bytes?.length !== 16) throw new AppError("BAD_INPUT_FORMAT", "This is not an id. Copy all 22 characters of it.")
  return bytes
}

/** The id of 16 bytes. @throws BAD_INPUT_FORMAT */
export function idFromBytes<Kind extends string>(bytes: Uint8Array): Id<Kind> {
  if (bytes.length !== 16) throw new AppError("BAD_INPUT_FORMAT")
  return encodeBase64url(bytes) as Id<Kind>
}

/** Whether this is an id as it is written: 22 characters of base64url, the last of which carries two bits. */
export function isId(text: unknown): text is Id {
  return typeof text === "string" && /^[A-Za-z0-9_-]{21}[AQgw]$/.test(text)
}

/** Takes text from a person or a program as an id. @throws BAD_INPUT_FORMAT */
export function parseId<Kind extends string>(text: string): Id<Kind> {
  if (!isId(text)) throw new AppError("BAD_INPUT_FORMAT", "This is not an id. Copy all 22 characters of it.")
  return text as Id<Kind>
}
