import { sha256 } from "#sha256"
import { encodeHex } from "../encoding/bytes.ts"
import { newId, type PhysicianId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { logOrigin } from "../proof/checkpoint.ts"
import {
  encodeIdentity,
  type IdentityStatement,
  type Unlock,
  usernamePattern,
  verifyIdentity,
} from "../proof/identity.ts"
import { emptyRoot } from "../proof/merkle.ts"
import { encodeRecovery } from "../proof/recovery.ts"
import { checkPublicKey } from "../proof/signature.ts"
import {
  type AccountReply,
  loginAbandon,
  loginFinish,
  loginStart,
  type PracticeReply,
  practice as practiceSchema,
  recoverFinish,
  recoverStart,
  registerFinish,
  registerStart,
  unlocks,
  unlocksStart,
} from "../protocol/accounts.ts"
import { paths } from "../protocol/paths.ts"
import { type Keyring, sealKeyring } from "../vault/keyring.ts"
import { deriveUnlockKey, newSecretKey, type PhysicianKey, wipe } from "../vault/keys.ts"
import { profilePlace, unlockPlace } from "../vault/places.ts"
import { seal } from "../vault/seal.ts"
import { importSigner } from "../vault/signer.ts"
import { newWords, parseWords, recoverySeed } from "../vault/words.ts"
import { digestHeads } from "./changes.ts"
import { encodeProfile, Session, type Surroundings, unlock } from "./session.ts"
import { resend } from "./transport.ts"
import { cleanUsername } from "./username.ts"
import type { NewAccount, RecoverySheet } from "./views.ts"

const minPasswordLength = 12

/** Loads what a password needs, the largest part of the program, if nothing has done so before. */
export function loadOpaque() {
  return import("../vault/opaque.ts")
}

/** Asks the server which practice it is. @throws TAMPERED_PRACTICE, also when it names what cannot be */
export async function practiceOf(around: Surroundings): Promise<PracticeReply> {
  const practice = await around.transport.call("GET", paths.practice, { reply: practiceSchema.reply })
  if (practice.origin !== logOrigin(practice.practice)) throw new AppError("TAMPERED_PRACTICE")
  try {
    checkPublicKey(practice.logKey)
  } catch (cause) {
    throw new AppError("TAMPERED_PRACTICE", undefined, { cause })
  }
  return practice
}

/** An account that exists: whatever fails from here on, the words have to be shown. */
export interface Registered {
  readonly sheet: RecoverySheet
  /** Stands up the first session, once. */
  enter(): Promise<Session>
}

/** Makes a physician: keys, identity, keyring, two ways to unlock; all stored in one transaction or not at all.
 * @returns the words, which exist nowhere else, and the way in.
 * @throws BAD_INPUT_FORM with a message per field, CONFLICT_USERNAME */
export async function register(around: Surroundings, input: NewAccount): Promise<Registered> {
  const fields = checkNewAccount(input)
  const practice = await practiceOf(around)
  const opaque = await (await loadOpaque()).startRegistration(fields.password)
  const started = await around.transport.call("POST", paths.registerStart, {
    json: { username: fields.username, registrationRequest: opaque.request },
    reply: registerStart.reply,
  })
  const registration = opaque.finish(started.registrationResponse, {
    username: fields.username,
    practice: practice.practice,
  })
  demandOpaqueKey(registration.serverKey, practice)
  const physician = newId<"physician">()
  const key: PhysicianKey = newSecretKey<"physician">()
  const { entropy, words } = newWords()
  const seals = [
    await sealUnlock(key, registration.exportKey, physician, "password", 0),
    await sealUnlock(key, entropy, physician, "recovery", 0),
  ]
  const { newSealingKeys } = await import("../vault/sealing-keys.ts")
  const signSeed = newSecretKey<"signing">()
  const signer = await importSigner(signSeed)
  const sealing = await newSealingKeys()
  const statement = encodeIdentity({
    v: 1,
    suite: "F1",
    physician,
    seq: 0,
    username: fields.username,
    signKey: signer.publicKey,
    sealKey: sealing.publicKey,
    unlocks: seals.map(listed),
    time: around.now(),
  })
  const keyring: Keyring = {
    v: 1,
    signSeed,
    sealSeed: sealing.seed,
    sealKey: sealing.publicKey,
    practice: {
      id: practice.practice,
      origin: practice.origin,
      logKey: practice.logKey,
      opaqueKey: practice.opaqueKey,
    },
    seen: { size: 0, root: emptyRoot, identity: 0 },
    roster: { segments: [], complete: 0, digest: digestHeads([]) },
    colleagues: [],
    devices: [],
    settings: { idleMinutes: 15, wordsConfirmed: false },
  }
  const recovery = await importSigner(await recoverySeed(entropy))
  const sent = {
    registration: started.registration,
    username: fields.username,
    physician,
    registrationRecord: registration.registrationRecord,
    identity: { statement, signature: await signer.sign("identity", statement) },
    unlocks: seals,
    recoveryKey: recovery.publicKey,
    profile: await seal(key, profilePlace(physician, 0), encodeProfile(fields)),
    keyring: await sealKeyring(key, physician, 0, keyring),
    carrier: around.carrier,
  }
  const json = registerFinish.body.encode(sent)
  const reply = await resend(() =>
    around.transport.call("POST", paths.registerFinish, { json, reply: registerFinish.reply }),
  )
  takeBearer(around, reply.account)
  wipe(entropy)
  return {
    sheet: sheetOf(words, fields.username, practice),
    async enter() {
      const session = await Session.stand(around, practice, reply.account, key)
      const about = { subject: physician, actor: physician, number: 0 } as const
      const identity = { ...about, stream: "identity", type: "identity", statementHash: sha256(statement) } as const
      const first = { ...about, stream: "keyring", type: "keyring", statementHash: sha256(sent.keyring) } as const
      await session.checkStored(reply.identity, identity)
      await session.checkStored(reply.keyring, first)
      await session.pins.save()
      return session
    },
  }
}

/** @throws NOT_ALLOWED_SIGN_IN, UNAVAILABLE_LIMIT, TAMPERED_* */
export async function signIn(around: Surroundings, username: string, password: string): Promise<Session> {
  const { practice, account, exportKey } = await logIn(around, cleanUsername(username), password)
  return Session.stand(around, practice, account, await unlock(account, "password", exportKey))
}

/** Gets back in with the recovery words, sets a new password, and replaces the words that were used.
 * @throws BAD_INPUT_WORDS, NOT_ALLOWED_RECOVERY, BAD_INPUT_PASSWORD */
export async function recover(
  around: Surroundings,
  username: string,
  words: string,
  password: string,
): Promise<{ session: Session; sheet: RecoverySheet }> {
  checkPassword(password)
  const name = cleanUsername(username)
  const entropy = parseWords(words)
  const practice = await practiceOf(around)
  const { nonce } = await around.transport.call("POST", paths.recoverStart, {
    json: { username: name },
    reply: recoverStart.reply,
  })
  const signer = await importSigner(await recoverySeed(entropy))
  const signature = await signer.sign("recovery", encodeRecovery(practice.practice, name, nonce))
  const account = await around.transport.call("POST", paths.recoverFinish, {
    json: recoverFinish.body.encode({ username: name, nonce, signature, carrier: around.carrier }),
    reply: recoverFinish.reply,
  })
  takeBearer(around, account)
  const session = await Session.stand(around, practice, account, await unlock(account, "recovery", entropy))
  wipe(entropy)
  await confirmWords(session, false)
  const fresh = await replaceUnlocks(session, { password, words: true })
  return { session, sheet: sheetOf(fresh ?? [], name, practice) }
}

/** Changes the password: re-seals 32 bytes, touches no record, ends the physician's other sessions.
 * @throws NOT_ALLOWED_SIGN_IN when `current` is wrong */
export async function changePassword(session: Session, current: string, next: string): Promise<void> {
  checkPassword(next)
  await proveAgain(session, current)
  await replaceUnlocks(session, { password: next, words: false })
}

/** Makes new recovery words; the old ones stop working. @throws NOT_ALLOWED_SIGN_IN when the password is wrong */
export async function renewWords(session: Session, password: string): Promise<RecoverySheet> {
  await proveAgain(session, password)
  await confirmWords(session, false)
  const words = await replaceUnlocks(session, { words: true })
  return sheetOf(words ?? [], session.username, session.practice)
}

/** Notes that the physician has, or has not, shown to have written the newest words down. It is said before words are replaced, so
 * that words which were made and never seen are asked for again. */
export async function confirmWords(session: Session, wordsConfirmed: boolean): Promise<void> {
  if (session.keyring.settings.wordsConfirmed === wordsConfirmed) return
  await session.updateKeyring((keyring) => ({ ...keyring, settings: { ...keyring.settings, wordsConfirmed } }))
}

/** Checks what a new account's form holds. @throws BAD_INPUT_FORM */
export function checkNewAccount(input: NewAccount): NewAccount {
  const username = cleanUsername(input.username)
  const firstName = input.firstName.normalize("NFC").trim()
  const lastName = input.lastName.normalize("NFC").trim()
  const fields: Record<string, string> = {}
  if (!usernamePattern.test(username)) fields.username = new AppError("BAD_INPUT_USERNAME").message
  if (firstName === "" || firstName.length > 200) fields.firstName = "Enter your first name, up to 200 characters."
  if (lastName === "" || lastName.length > 200) fields.lastName = "Enter your last name, up to 200 characters."
  if (tooShort(input.password)) fields.password = new AppError("BAD_INPUT_PASSWORD").message
  if (Object.keys(fields).length > 0) throw new AppError("BAD_INPUT_FORM", Object.values(fields).join(" "), { fields })
  return { username, firstName, lastName, password: input.password }
}

async function logIn(around: Surroundings, username: string, password: string) {
  if (!usernamePattern.test(username)) throw new AppError("NOT_ALLOWED_SIGN_IN")
  const practice = await practiceOf(around)
  const opaque = await (await loadOpaque()).startLogin(password)
  const { login, loginResponse } = await around.transport.call("POST", paths.loginStart, {
    json: { username, startLoginRequest: opaque.request },
    reply: loginStart.reply,
  })
  try {
    const done = opaque.finish(loginResponse, { username, practice: practice.practice })
    demandOpaqueKey(done.serverKey, practice)
    const account = await around.transport.call("POST", paths.loginFinish, {
      json: { login, finishLoginRequest: done.finishLoginRequest, carrier: around.carrier },
      reply: loginFinish.reply,
    })
    takeBearer(around, account)
    return { practice, account, exportKey: done.exportKey }
  } catch (error) {
    if (error instanceof AppError && error.code === "NOT_ALLOWED_SIGN_IN")
      await around.transport
        .call("POST", paths.loginAbandon, { json: loginAbandon.body.encode({ login }) })
        .catch(() => {})
    throw error
  }
}

/** Proves the password again, which the server asks for before it replaces a way to unlock. */
async function proveAgain(session: Session, password: string): Promise<void> {
  const { account } = await logIn(session.around, session.username, password)
  if (account.physician !== session.physician) throw new AppError("TAMPERED_IDENTITY")
  session.moveTo(account.session)
}

/** Replaces the password, the words, or both, under the next identity statement. @returns the new words, if made */
async function replaceUnlocks(
  session: Session,
  what: { readonly password?: string; readonly words: boolean },
): Promise<string[] | null> {
  const { around, physician, identity, key } = session
  const next = (method: string) => (identity.unlocks.find((item) => item.method === method)?.generation ?? -1) + 1
  const changed: Unlock[] = []
  let password: { registrationRecord: string; generation: number; token: Uint8Array } | undefined
  if (what.password !== undefined) {
    const opaque = await (await loadOpaque()).startRegistration(what.password)
    const { registrationResponse } = await around.transport.call("POST", paths.unlocksStart, {
      json: { registrationRequest: opaque.request },
      reply: unlocksStart.reply,
    })
    const where = { username: session.username, practice: session.practice.practice }
    const { registrationRecord, exportKey, serverKey } = opaque.finish(registrationResponse, where)
    demandOpaqueKey(serverKey, session.practice)
    const sealed = await sealUnlock(key, exportKey, physician, "password", next("password"))
    changed.push(listed(sealed))
    password = { registrationRecord, generation: sealed.generation, token: sealed.token }
  }
  let recovery: { recoveryKey: Uint8Array; generation: number; token: Uint8Array } | undefined
  let words: string[] | null = null
  if (what.words) {
    const made = newWords()
    const sealed = await sealUnlock(key, made.entropy, physician, "recovery", next("recovery"))
    const signer = await importSigner(await recoverySeed(made.entropy))
    changed.push(listed(sealed))
    recovery = { recoveryKey: signer.publicKey, generation: sealed.generation, token: sealed.token }
    words = made.words
    wipe(made.entropy)
  }
  const kept = identity.unlocks.filter((item) => !changed.some((fresh) => fresh.method === item.method))
  const follows: IdentityStatement = {
    v: 1,
    suite: "F1",
    physician,
    seq: identity.seq + 1,
    prev: identity.hash,
    username: session.username,
    signKey: identity.signKey,
    sealKey: identity.sealKey,
    unlocks: [...kept, ...changed].sort((a, b) => (a.method < b.method ? -1 : 1)),
    time: around.now(),
  }
  const statement = encodeIdentity(follows)
  const signed = { statement, signature: await session.signer.sign("identity", statement) }
  const { answer, tree } = await session.log.exchange(
    (from) => {
      const json = unlocks.body.encode({
        identity: signed,
        ...(password === undefined ? {} : { password }),
        ...(recovery === undefined ? {} : { recovery }),
        since: from.size,
      })
      return resend(() => around.transport.call("POST", paths.unlocks, { json, reply: unlocks.reply }))
    },
    (receipt) => receipt.log,
  )
  const about = { subject: physician, actor: physician, stream: "identity", type: "identity" } as const
  session.log.checkReceipt(answer, { ...about, number: follows.seq, statementHash: sha256(statement) }, tree)
  session.takeIdentity(await verifyIdentity(identity, signed))
  await session.pins.save().catch(() => {})
  return words
}

async function sealUnlock(
  key: PhysicianKey,
  secret: Uint8Array,
  physician: PhysicianId,
  method: string,
  generation: number,
): Promise<{ method: string; generation: number; token: Uint8Array }> {
  const unlockKey = await deriveUnlockKey(secret, physician, method, generation)
  const token = await seal(unlockKey, unlockPlace(physician, method, generation), key, { exact: true })
  wipe(unlockKey)
  return { method, generation, token }
}

function listed(sealed: { method: string; generation: number; token: Uint8Array }): Unlock {
  return { method: sealed.method, generation: sealed.generation, hash: sha256(sealed.token) }
}

function takeBearer(around: Surroundings, account: AccountReply): void {
  if (account.session.bearer !== undefined) around.transport.bearer = account.session.bearer
}

/** OPAQUE itself proves the key; a server that names another in its practice is not what it says. */
function demandOpaqueKey(serverKey: string, practice: PracticeReply): void {
  if (serverKey !== practice.opaqueKey) throw new AppError("TAMPERED_PRACTICE")
}

function sheetOf(words: readonly string[], username: string, practice: PracticeReply): RecoverySheet {
  return {
    words,
    username,
    practice: practice.practice,
    origin: practice.origin,
    logKey: encodeHex(practice.logKey),
  }
}

function checkPassword(password: string): void {
  if (tooShort(password)) throw new AppError("BAD_INPUT_PASSWORD")
}

function tooShort(password: string): boolean {
  return [...password.normalize("NFC")].length < minPasswordLength
}
