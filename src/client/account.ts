import { sha256 } from "#sha256"
import { encodeHex, equal } from "../encoding/bytes.ts"
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
import { isOriginOf } from "../proof/succession.ts"
import {
  type AccountReply,
  loginAbandon,
  loginFinish,
  loginStart,
  type PracticeReply,
  practice as practiceSchema,
  type Registration,
  recoverFinish,
  recoverStart,
  registerFinish,
  registerStart,
  unlocks,
  unlocksStart,
} from "../protocol/accounts.ts"
import { parseInvite } from "../protocol/invite.ts"
import { paths } from "../protocol/paths.ts"
import { type Keyring, sealKeyring } from "../vault/keyring.ts"
import { deriveUnlockKey, newSecretKey, type PhysicianKey, wipe } from "../vault/keys.ts"
import { profilePlace, unlockPlace } from "../vault/places.ts"
import { seal } from "../vault/seal.ts"
import { importSigner } from "../vault/signer.ts"
import type { Entropy } from "../vault/words.ts"
import { encodeProfile, keyringItems, signAccount } from "./account-statements.ts"
import { boundOf } from "./bound.ts"
import { fetchLine, signedOf } from "./line.ts"
import { keepPageSecret } from "./remembered.ts"
import { openFormer, opens } from "./reopen.ts"
import { unconfirmed } from "./restoration.ts"
import { withRestoreHint } from "./restore-hint.ts"
import { Session, type Surroundings, unlock } from "./session.ts"
import { resend } from "./transport.ts"
import { cleanUsername } from "./username.ts"
import type { NewAccount, RecoverySheet } from "./views.ts"

const minPasswordLength = 12

/** The list of the recovery words comes when it is needed: most who sign in never do. */
const wordsOf = () => import("../vault/words.ts")

/** Loads what a password needs, the largest part of the program, if nothing has done so before. */
export function loadOpaque() {
  return import("../vault/opaque.ts")
}

/** Asks the server which practice it is. @throws TAMPERED_PRACTICE, also when it names what cannot be */
export async function practiceOf(around: Surroundings): Promise<PracticeReply> {
  const practice = await around.transport.call("GET", paths.practice, { reply: practiceSchema.reply })
  if (!isOriginOf(practice.practice, practice.origin)) throw new AppError("TAMPERED_PRACTICE")
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

/** Who can sign up here, as the server says. @throws TAMPERED_PRACTICE */
export async function registrationOf(around: Surroundings): Promise<Registration> {
  return (await practiceOf(around)).registration
}

/** Hands words to whoever writes them down, before the server has them: where it throws, no words count that nobody was given. */
export type ShowWords = (sheet: RecoverySheet) => Promise<void>

/** Makes a physician: keys, identity, keyring, two ways to unlock; all stored in one transaction or not at all.
 * @param input its `invite` binds: nobody signs up with it at a server that shows another log than the invitation names.
 * @returns the words, which exist nowhere else, and the way in.
 * @throws BAD_INPUT_FORM with a message per field, CONFLICT_USERNAME, NOT_ALLOWED_REGISTRATION, NOT_ALLOWED_INVITATION,
 * TAMPERED_PRACTICE */
export async function register(around: Surroundings, input: NewAccount, show?: ShowWords): Promise<Registered> {
  const fields = checkNewAccount(input)
  const invite = fields.invite ? parseInvite(fields.invite) : null
  const practice = await practiceOf(around)
  if (invite !== null && (invite.origin !== practice.origin || !equal(invite.logKey, practice.logKey)))
    throw new AppError(
      "TAMPERED_PRACTICE",
      "This server is not the one that your invitation is for. Check the address, and ask whoever invited you before you go on.",
    )
  if (practice.registration === "closed") throw new AppError("NOT_ALLOWED_REGISTRATION")
  if (practice.registration === "invited" && invite === null) throw new AppError("NOT_ALLOWED_INVITATION")
  const opaque = await (await loadOpaque()).startRegistration(fields.password)
  const started = await around.transport.call("POST", paths.registerStart, {
    json: registerStart.body.encode({
      username: fields.username,
      registrationRequest: opaque.request,
      ...(practice.registration === "invited" && invite !== null ? { code: invite.code } : {}),
    }),
    reply: registerStart.reply,
  })
  const registration = opaque.finish(started.registrationResponse, {
    username: fields.username,
    practice: practice.practice,
  })
  demandOpaqueKey(registration.serverKey, practice)
  // A practice is taken in as it is first met, with the restores that it had.
  const isFirst = practice.origin === logOrigin(practice.practice)
  const line = isFirst ? [] : (await fetchLine(around.transport, practice)).line
  const physician = newId<"physician">()
  const key: PhysicianKey = newSecretKey<"physician">()
  const { newWords, recoverySeed } = await wordsOf()
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
    v: 2,
    signSeed,
    sealSeed: sealing.seed,
    sealKey: sealing.publicKey,
    practice: {
      id: practice.practice,
      origin: practice.origin,
      logKey: practice.logKey,
      opaqueKey: practice.opaqueKey,
    },
    ...(line.length === 0 ? {} : { successions: signedOf(line).map((one) => ({ ...one })) }),
    seen: { size: 0, root: emptyRoot, identity: 0 },
    roster: { segments: [], complete: 0 },
    bound: boundOf(0, new Map(), []),
    colleagues: [],
    devices: [],
    settings: { idleMinutes: 15, wordsConfirmed: false },
  }
  const recovery = await importSigner(await recoverySeed(entropy))
  const profileToken = await seal(key, profilePlace(physician, 0), encodeProfile(fields))
  const keyringToken = await sealKeyring(key, physician, 0, keyring)
  const by = { physician, identity: { seq: 0 }, signer, around }
  const profileItem = { subject: physician, number: 0, hash: sha256(profileToken) }
  const sent = {
    registration: started.registration,
    username: fields.username,
    physician,
    registrationRecord: registration.registrationRecord,
    identity: { statement, signature: await signer.sign("identity", statement) },
    unlocks: seals,
    recoveryKey: recovery.publicKey,
    profile: { token: profileToken, signed: await signAccount(by, "profile", [profileItem]) },
    keyring: {
      token: keyringToken,
      signed: await signAccount(by, "keyring", keyringItems(physician, 0, undefined, keyringToken, keyring)),
    },
    carrier: around.carrier,
  }
  const json = registerFinish.body.encode(sent)
  const sheet = sheetOf(words, fields.username, practice)
  await show?.(sheet)
  const reply = await resend(() =>
    around.transport.call("POST", paths.registerFinish, { json, reply: registerFinish.reply }),
  )
  wipe(entropy)
  return {
    sheet,
    async enter() {
      await takeSecrets(around, reply.account)
      const session = await Session.stand(around, practice, reply.account, key)
      const about = { subject: physician, actor: physician, number: 0 } as const
      const identity = { ...about, stream: "identity", type: "identity", statementHash: sha256(statement) } as const
      const keyringHash = sha256(sent.keyring.signed.statement)
      const first = { ...about, stream: "keyring", type: "keyring", statementHash: keyringHash } as const
      await session.checkStored(reply.identity, identity)
      await session.checkStored(reply.keyring, first)
      await session.pins.save()
      return session
    },
  }
}

/** @throws NOT_ALLOWED_SIGN_IN, UNAVAILABLE_LIMIT, TAMPERED_* */
export async function signIn(around: Surroundings, username: string, password: string): Promise<Session> {
  return demandConfirmed(await signInAnyway(around, username, password))
}

/** The same, and where the server was put back to an earlier state that nobody has confirmed, a session that can be looked at and confirmed,
 * and that writes nothing until then. Whoever goes on with it shows nothing of it as it should be: see {@link demandConfirmed}. */
export async function signInAnyway(around: Surroundings, username: string, password: string): Promise<Session> {
  const { practice, account, exportKey } = await logIn(around, cleanUsername(username), password)
  return Session.stand(around, practice, account, await unlock(account, "password", exportKey), "password")
}

/** Signs in where the newest keyring does not open, on the seeds and the practice of a former one. Only the physician may decide that: see
 * `openFormer`. An account that opens as it is stays as it is.
 * @returns the session, and the number of the former keyring; `null` where none was needed.
 * @throws NOT_ALLOWED_SIGN_IN, CANNOT_OPEN, TAMPERED_* */
export async function reopen(
  around: Surroundings,
  username: string,
  password: string,
): Promise<{ session: Session; from: number | null }> {
  const { session, from } = await reopenAnyway(around, username, password)
  return { session: demandConfirmed(session), from }
}

/** The same, as {@link signInAnyway}: where a restore is not confirmed, the former keyring is saved with the confirmation. */
export async function reopenAnyway(
  around: Surroundings,
  username: string,
  password: string,
): Promise<{ session: Session; from: number | null }> {
  const { practice, account, exportKey } = await logIn(around, cleanUsername(username), password)
  return standOnFormer(around, practice, account, await unlock(account, "password", exportKey), "password")
}

async function standOnFormer(
  around: Surroundings,
  practice: PracticeReply,
  account: AccountReply,
  key: PhysicianKey,
  method: string,
) {
  if (await opens(account, key))
    return { session: await Session.stand(around, practice, account, key, method), from: null }
  const reopened = await openFormer(around, account, key)
  const session = await Session.stand(around, practice, account, key, method, reopened)
  if (around.transport.hold === null) await session.saveNews()
  return { session, from: reopened.from }
}

/** @throws TAMPERED_ROLLBACK, TAMPERED_PRACTICE where the server was put back and nobody has confirmed it */
export function demandConfirmed(session: Session): Session {
  const { restoration } = session
  if (restoration === null || restoration.confirmed) return session
  session.wipe()
  throw unconfirmed(restoration)
}

/** A session that the recovery words have opened. */
export interface WayByWords {
  readonly session: Session
  /** Sets a new password and replaces the words that were used, once nothing waits to be confirmed. @throws BAD_INPUT_PASSWORD */
  finish(password: string, show?: ShowWords): Promise<RecoverySheet>
}

/** Opens an account with its recovery words, to set a new password and replace the words that were used. Where the server was put back to
 * an earlier state that nobody has confirmed, the session can be looked at and confirmed, and writes nothing until then.
 * @param former whether to stand on a former keyring where the newest does not open: see {@link reopen}
 * @throws BAD_INPUT_WORDS, NOT_ALLOWED_RECOVERY */
export async function wayByWords(
  around: Surroundings,
  username: string,
  words: string,
  former = false,
): Promise<WayByWords> {
  const name = cleanUsername(username)
  const entropy = (await wordsOf()).parseWords(words)
  const practice = await practiceOf(around)
  const account = await proveWords(around, practice, name, entropy).catch(async (error: unknown) => {
    throw await withRestoreHint(around, practice, error)
  })
  const key = await unlock(account, "recovery", entropy)
  const session = former
    ? (await standOnFormer(around, practice, account, key, "recovery")).session
    : await Session.stand(around, practice, account, key, "recovery")
  const isAsked = session.restoration !== null
  return {
    session,
    async finish(password, show) {
      checkPassword(password)
      // Whoever was shown first what a restore took back, or asked for a code, may have taken longer than a proof lasts.
      if (isAsked) session.moveTo((await proveWords(around, practice, name, entropy)).session)
      const sheet = await replaceWords(session, { password, show })
      wipe(entropy)
      return sheet
    },
  }
}

/** Proves the recovery words to the server, which then hands out what they open. @throws NOT_ALLOWED_RECOVERY */
async function proveWords(around: Surroundings, practice: PracticeReply, username: string, entropy: Entropy) {
  const { nonce } = await around.transport.call("POST", paths.recoverStart, {
    json: { username },
    reply: recoverStart.reply,
  })
  const { recoverySeed } = await wordsOf()
  const signer = await importSigner(await recoverySeed(entropy))
  const signature = await signer.sign("recovery", encodeRecovery(practice.practice, username, nonce))
  const account = await around.transport.call("POST", paths.recoverFinish, {
    json: recoverFinish.body.encode({ username, nonce, signature, carrier: around.carrier }),
    reply: recoverFinish.reply,
  })
  await takeSecrets(around, account)
  return account
}

/** Changes the password: re-seals 32 bytes, touches no record, ends the physician's other sessions.
 * @throws NOT_ALLOWED_SIGN_IN when `current` is wrong */
export async function changePassword(session: Session, current: string, next: string): Promise<void> {
  checkPassword(next)
  await proveAgain(session, current)
  await replaceUnlocks(session, { password: next })
}

/** Makes new recovery words; the old ones stop working. @throws NOT_ALLOWED_SIGN_IN when the password is wrong */
export async function renewWords(session: Session, password: string, show?: ShowWords): Promise<RecoverySheet> {
  await proveAgain(session, password)
  return replaceWords(session, { show })
}

async function replaceWords(
  session: Session,
  { password, show }: { readonly password?: string; readonly show: ShowWords | undefined },
): Promise<RecoverySheet> {
  const { words, entropy } = (await wordsOf()).newWords()
  const sheet = sheetOf(words, session.username, session.practice)
  await show?.(sheet)
  await confirmWords(session, false)
  await replaceUnlocks(session, { ...(password !== undefined && { password }), entropy })
  wipe(entropy)
  return sheet
}

/** Notes that the physician has, or has not, shown to have written the newest words down. It is said before words are replaced, so
 * that words which were made and never seen are asked for again. */
export async function confirmWords(session: Session, wordsConfirmed: boolean): Promise<void> {
  if (session.keyring.settings.wordsConfirmed === wordsConfirmed) return
  await session.updateKeyring((keyring) => ({ ...keyring, settings: { ...keyring.settings, wordsConfirmed } }))
}

/** Checks what a new account's form holds. @throws BAD_INPUT_FORM */
export function checkNewAccount(input: NewAccount): Required<NewAccount> {
  const username = cleanUsername(input.username)
  const firstName = input.firstName.normalize("NFC").trim()
  const lastName = input.lastName.normalize("NFC").trim()
  const fields: Record<string, string> = {}
  if (!usernamePattern.test(username)) fields.username = new AppError("BAD_INPUT_USERNAME").message
  if (firstName === "" || firstName.length > 200) fields.firstName = "Enter your first name, up to 200 characters."
  if (lastName === "" || lastName.length > 200) fields.lastName = "Enter your last name, up to 200 characters."
  const inviteProblem = problemOf(() => input.invite && parseInvite(input.invite))
  if (inviteProblem !== null) fields.invite = inviteProblem
  if (tooShort(input.password)) fields.password = new AppError("BAD_INPUT_PASSWORD").message
  if (Object.keys(fields).length > 0) throw new AppError("BAD_INPUT_FORM", Object.values(fields).join(" "), { fields })
  return { username, firstName, lastName, password: input.password, invite: input.invite ?? "" }
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
    await takeSecrets(around, account)
    return { practice, account, exportKey: done.exportKey }
  } catch (error) {
    if (error instanceof AppError && error.code === "NOT_ALLOWED_SIGN_IN")
      await around.transport
        .call("POST", paths.loginAbandon, { json: loginAbandon.body.encode({ login }) })
        .catch(() => {})
    throw await withRestoreHint(around, practice, error)
  }
}

/** Proves the password again, which the server asks for before it replaces a way to unlock. */
async function proveAgain(session: Session, password: string): Promise<void> {
  const { account } = await logIn(session.around, session.username, password)
  if (account.physician !== session.physician) throw new AppError("TAMPERED_IDENTITY")
  session.moveTo(account.session)
}

/** Replaces the password, the words, or both, under the next identity statement. @param what `entropy` is that of the new words */
async function replaceUnlocks(
  session: Session,
  what: { readonly password?: string; readonly entropy?: Entropy },
): Promise<void> {
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
  if (what.entropy !== undefined) {
    const { recoverySeed } = await wordsOf()
    const sealed = await sealUnlock(key, what.entropy, physician, "recovery", next("recovery"))
    const signer = await importSigner(await recoverySeed(what.entropy))
    changed.push(listed(sealed))
    recovery = { recoveryKey: signer.publicKey, generation: sealed.generation, token: sealed.token }
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
  const taken = await verifyIdentity(identity, signed)
  session.takeIdentity(taken)
  const { pins } = session
  pins.renew = pins.renew.filter((method) => !changed.some((fresh) => fresh.method === method))
  if (pins.renew.length === 0) pins.noteUnlocks(taken.unlocks)
  session.release()
  await session.pins.save().catch(() => {})
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

/** What the session's requests are to carry from now on. */
async function takeSecrets({ transport, storage }: Surroundings, { session }: AccountReply): Promise<void> {
  if (session.bearer !== undefined) transport.bearer = session.bearer
  if (session.page === undefined) return
  // All at once: the browser has the new cookie already, and other requests go on meanwhile.
  transport.page = session.page
  transport.session = session.id
  await keepPageSecret(storage, session.page)
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

/** @throws BAD_INPUT_PASSWORD */
export function checkPassword(password: string): void {
  if (tooShort(password)) throw new AppError("BAD_INPUT_PASSWORD")
}

function tooShort(password: string): boolean {
  return [...password.normalize("NFC")].length < minPasswordLength
}

/** What an AppError says that work throws; null where it throws none. */
function problemOf(work: () => unknown): string | null {
  try {
    work()
    return null
  } catch (error) {
    if (error instanceof AppError) return error.message
    throw error
  }
}
