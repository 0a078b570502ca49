import { z } from "zod"
import { usernamePattern } from "../proof/identity.ts"
import { moment } from "../proof/statement.ts"
import { inviteCodeBytes } from "./invite.ts"
import { inclusion, leafInfo, logState, receipt, since } from "./log.ts"
import { bytes, count, countText, id, token } from "./wire.ts"

/** OPAQUE's messages are base64url text of the library's own making. */
const opaqueMessage = z.string().min(1).max(4096)
const username = z.string().regex(usernamePattern)
const signed = z.object({ statement: bytes(65_536), signature: bytes(128) })
/** An account statement and its signature: docs/formats/account.md. */
export const accountSigned = z.strictObject({ statement: bytes(65_536), signature: bytes(64) })
const sealedKey = token("key", 256)

/** A log's name. One word: a server puts no sentence before whoever compares it with a sheet. */
const origin = z.string().regex(/^[!-~]{1,200}$/)

/** One way to unlock: a sealed physician key. `generation` counts the replacements of that method. */
const unlock = z.object({ method: z.string().max(600), generation: count, token: bytes(256) })

const registration = z.enum(["open", "invited", "closed"])

export const practice = {
  reply: z.object({
    practice: id<"practice">(),
    origin,
    logKey: bytes(32),
    /** The server's OPAQUE public key, pinned with the practice. */
    opaqueKey: opaqueMessage,
    version: z.string(),
    /** Who can sign up: anybody, whoever has an invitation code, or nobody. The server's word; a server of 0.2 says nothing. */
    registration: registration.default("open"),
    /** How many leaves of which log the newest verified backup holds: the server's word. Left out where there is none of its log. */
    backup: z.object({ origin, size: count }).optional(),
  }),
}

/** Which secret the client wants back: a cookie (browser) or a bearer token (program). */
const carrier = z.enum(["cookie", "bearer"])

const session = z.object({
  id: id<"session">(),
  /** Present for a program alone; a browser gets a cookie. */
  bearer: z.string().optional(),
  /** Present for a browser alone, once, where the session begins: the second secret, without which the cookie does nothing. The page
   * keeps it in its own origin's storage. */
  page: z.string().optional(),
  /** 32 B under which a browser seals the physician key; absent once the session is locked. */
  half: bytes(32).optional(),
  expires: moment,
})

/** `signed` is missing of what version 0.2 stored. */
const storedProfile = z.object({ number: count, token: bytes(65_536), signed: accountSigned.optional() })
const storedKeyring = z.object({
  number: count,
  token: bytes(1_048_576),
  signed: accountSigned.optional(),
  leaf: leafInfo,
})

/** Everything a client needs to stand where it stood. */
const account = z.object({
  session,
  physician: id<"physician">(),
  username,
  identity: z.array(signed),
  unlocks: z.array(unlock),
  profile: storedProfile,
  keyring: storedKeyring,
})

export const registerStart = {
  /** `code`: of the invitation, where the server takes nobody without one. */
  body: z.strictObject({ username, registrationRequest: opaqueMessage, code: bytes(inviteCodeBytes).optional() }),
  /** `registration` names the attempt: one that is not finished counts as a guess. */
  reply: z.object({ registration: z.string(), registrationResponse: opaqueMessage }),
}

export const registerFinish = {
  body: z.strictObject({
    registration: z.string().max(64),
    username,
    physician: id<"physician">(),
    registrationRecord: opaqueMessage,
    identity: signed,
    /** Exactly password and recovery, each of generation 0. */
    unlocks: z.array(unlock.extend({ token: sealedKey })).length(2),
    /** Ed25519 key that recovery signatures verify under. */
    recoveryKey: bytes(32),
    /** Each number 0, with the account statement that stands for it. */
    profile: z.strictObject({ token: token("padded", 16_384), signed: accountSigned }),
    keyring: z.strictObject({ token: token("padded", 16_384), signed: accountSigned }),
    carrier,
  }),
  reply: z.object({ account, identity: receipt, keyring: receipt }),
}

export const loginStart = {
  body: z.strictObject({ username, startLoginRequest: opaqueMessage }),
  reply: z.object({ login: z.string(), loginResponse: opaqueMessage }),
}

export const loginFinish = {
  body: z.strictObject({ login: z.string().max(64), finishLoginRequest: opaqueMessage, carrier }),
  reply: account,
}

/** An honest client says at once that the password was wrong, so that the failure is counted now. */
export const loginAbandon = { body: z.strictObject({ login: z.string().max(64) }) }

export const recoverStart = {
  body: z.strictObject({ username }),
  reply: z.object({ practice: id<"practice">(), nonce: bytes(32) }),
}

export const recoverFinish = {
  body: z.strictObject({ username, nonce: bytes(32), signature: bytes(64), carrier }),
  reply: account,
}

export const currentSession = { reply: account }

/** Starts replacing the password. */
export const unlocksStart = {
  body: z.strictObject({ registrationRequest: opaqueMessage }),
  reply: z.object({ registrationResponse: opaqueMessage }),
}

/** Replaces ways to unlock, all at once or not at all, under a new identity statement. Needs a session that proved itself
 * (OPAQUE or recovery) in the last five minutes. Ends every other session when the password changes. */
export const unlocks = {
  body: z.strictObject({
    identity: signed,
    password: z.strictObject({ registrationRecord: opaqueMessage, generation: count, token: sealedKey }).optional(),
    recovery: z.strictObject({ recoveryKey: bytes(32), generation: count, token: sealedKey }).optional(),
    since,
  }),
  reply: receipt,
}

/** Compare-and-swap: the statement's number is one more than the stored one, and it names what it replaces, or CONFLICT_KEYRING. Segments
 * that the statement does not list are dropped with it. */
export const putKeyring = {
  body: z.strictObject({ token: token("padded", 1_048_576), signed: accountSigned, since }),
  reply: receipt,
}

export const getKeyring = { reply: storedKeyring }

/** The physician's own names, sealed: the same, without a leaf. */
export const putProfile = {
  body: z.strictObject({ token: token("padded", 16_384), signed: accountSigned }),
}

/** Keyrings and profiles that were replaced, the newest first: the ten newest and one a day for a month. Needs a session that proved
 * itself in the last five minutes. */
export const formerAccount = {
  reply: z.object({
    keyrings: z.array(storedKeyring.extend({ replaced: moment })),
    profiles: z.array(storedProfile.extend({ replaced: moment })),
  }),
}

/** Another physician's identity chain, by exact username or by id, with the proof that its newest statement is in the log. */
export const readIdentity = {
  usernameParams: z.object({ username }),
  physicianParams: z.object({ physician: id<"physician">() }),
  query: z.object({ since: countText }),
  reply: z.object({
    identity: z.array(signed).min(1),
    leaf: leafInfo,
    inclusion,
    log: logState,
    /** The server's word, shown as such. */
    suspended: z.boolean().optional(),
  }),
}

/** The caller's sessions, newest first. */
export const readSessions = {
  reply: z.object({
    sessions: z.array(
      z.object({
        id: id<"session">(),
        carrier,
        created: moment,
        touched: moment,
        expires: moment,
        current: z.boolean(),
      }),
    ),
  }),
}

export const otherSessionParams = z.object({ session: id<"session">() })

export type Registration = z.output<typeof registration>
export type PracticeReply = z.output<typeof practice.reply>
export type AccountReply = z.output<typeof account>
export type Carrier = z.output<typeof carrier>
export type UnlockSeal = z.output<typeof unlock>
