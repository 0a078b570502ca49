import { randomBytes } from "node:crypto"
import { client, ready } from "@serenity-kit/opaque"
import type { FastifyInstance, InjectOptions } from "fastify"
import type { z } from "zod"
import { sha256 } from "#sha256"
import { encodeBase64url } from "../encoding/base64.ts"
import { compare } from "../encoding/bytes.ts"
import { idBytes, newId, type PhysicianId, type PracticeId, type RecordId } from "../encoding/ids.ts"
import { keyToken, paddedToken } from "../encoding/token-form.fixture.ts"
import { type AccountItem, type AccountKind, encodeAccount } from "../proof/account-statement.ts"
import { type EntryStatement, encodeEntry, type Member, type Role } from "../proof/entry.ts"
import { encodeIdentity, fingerprintOf, type IdentityStatement } from "../proof/identity.ts"
import { emptyRoot } from "../proof/merkle.ts"
import { asSealKey } from "../proof/seal-key.fixture.ts"
import { type SignatureLabel, signedBytes } from "../proof/signature.ts"
import type { Signed } from "../proof/statement.ts"
import {
  type AccountReply,
  type Carrier,
  loginFinish,
  loginStart,
  registerFinish,
  registerStart,
  type UnlockSeal,
  unlocksStart,
} from "../protocol/accounts.ts"
import { entriesPath, pageHeader, paths, protocolHeader, protocolVersion } from "../protocol/paths.ts"
import { appendEntry, putSelfGrants } from "../protocol/records.ts"
import { seedPrefix } from "./log.ts"
import type { Grant, SignedToken } from "./store/store.ts"

/** A client for the server's own tests: real OPAQUE and real signatures; what it "seals" are random bytes in
 * a token's form, which is all the server can tell of one. */
export interface Author {
  readonly physician: PhysicianId
  readonly username: string
  readonly fingerprint: Uint8Array
  readonly signKey: Uint8Array
  readonly sealKey: Uint8Array
  sign(label: SignatureLabel, statement: Uint8Array): Promise<Signed>
}

export async function newAuthor(username: string): Promise<Author> {
  const { publicKey, sign } = await newSigner()
  const physician = newId<"physician">()
  const sealKey = asSealKey(randomToken(1216))
  return {
    physician,
    username,
    signKey: publicKey,
    sealKey,
    fingerprint: fingerprintOf(physician, publicKey, sealKey),
    sign: async (label, statement) => ({ statement, signature: await sign(signedBytes(label, statement)) }),
  }
}

export interface TestSigner {
  readonly publicKey: Uint8Array
  sign(message: Uint8Array): Promise<Uint8Array>
}

export async function newSigner(seed: Uint8Array = randomToken(32)): Promise<TestSigner> {
  const pkcs8 = new Uint8Array([...seedPrefix, ...seed])
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", true, ["sign"])
  const { x } = await crypto.subtle.exportKey("jwk", key)
  return {
    publicKey: new Uint8Array(Buffer.from(x ?? "", "base64url")),
    sign: async (message) =>
      new Uint8Array(await crypto.subtle.sign("Ed25519", key, message as Uint8Array<ArrayBuffer>)),
  }
}

export function randomToken(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(randomBytes(length))
}

export interface Drafted {
  readonly statement: EntryStatement
  readonly signed: Signed
  readonly hash: Uint8Array
  readonly body: Uint8Array
  readonly summary: Uint8Array
  /** In force after this entry. */
  readonly members: readonly Member[]
  readonly grants: readonly Grant[]
}

/** Signs the next entry of a record. @param before null for `open` @param change what to spoil, for tests of refusals */
export async function draftEntry(
  author: Author,
  record: RecordId,
  before: Drafted | null,
  seen: EntryStatement["seen"] = { size: 0, root: emptyRoot },
  change: Partial<EntryStatement> = {},
  bytes = 300,
): Promise<Drafted> {
  const body = paddedToken(bytes)
  const summary = paddedToken(300)
  const statement: EntryStatement = {
    v: 1,
    suite: "F1",
    record,
    seq: before === null ? 0 : before.statement.seq + 1,
    ...(before === null ? {} : { prev: before.hash }),
    epoch: before === null ? 0 : before.statement.epoch,
    kind: before === null ? "open" : "write",
    author: author.physician,
    time: 1_800_000_000_000,
    seen,
    body: { hash: sha256(body), size: body.length },
    summary: { hash: sha256(summary), size: summary.length },
    ...(before === null && { members: [memberOf(author, "owner")], keyCommit: randomToken(32) }),
    ...change,
  }
  const signed = await author.sign("entry", encodeEntry(statement))
  const members = statement.members ?? before?.members ?? []
  return { statement, signed, hash: sha256(signed.statement), body, summary, members, grants: [] }
}

export function memberOf({ physician, fingerprint }: Author, role: Role, until?: number): Member {
  return { physician, fingerprint, role, ...(until !== undefined && { until }) }
}

/** Signs a new list of members, with the grants that it has to come with. @param change what to spoil */
export async function draftMembers(
  author: Author,
  before: Drafted,
  members: readonly Member[],
  seen: EntryStatement["seen"],
  options: { readonly raise?: boolean; readonly leave?: boolean; readonly change?: Partial<EntryStatement> } = {},
): Promise<Drafted> {
  const sorted = members.toSorted((a, b) => compare(idBytes(a.physician), idBytes(b.physician)))
  const had = (member: Member) => before.members.some(({ physician }) => physician === member.physician)
  const entitled = sorted.filter((member) =>
    options.raise ? member.physician !== author.physician : !options.leave && !had(member),
  )
  const grants = entitled.map(({ physician }) => ({ recipient: physician, grant: randomToken(1120 + 60) }))
  const drafted = await draftEntry(author, before.statement.record, before, seen, {
    kind: "members",
    body: undefined,
    members: sorted,
    ...(grants.length > 0 && {
      grants: grants.map(({ recipient, grant }) => ({ recipient, hash: sha256(grant) })),
    }),
    ...(options.raise
      ? { epoch: before.statement.epoch + 1, keyCommit: randomToken(32) }
      : { epoch: before.statement.epoch, summary: undefined }),
    ...options.change,
  })
  return { ...drafted, grants }
}

/** A sealed token of an account, and the statement that stands for it. @param change what to spoil */
export async function signToken(
  author: Author,
  what: "keyring" | "profile" | "segments",
  token: Uint8Array,
  change: Partial<AccountItem> & { readonly stays?: readonly AccountItem[]; readonly identity?: number } = {},
): Promise<SignedToken> {
  const { stays = [], identity = 0, ...item } = change
  const first = { subject: author.physician, number: 0, hash: sha256(token), ...item }
  return { token, signed: await signItems(author, what, [first, ...stays], identity) }
}

export function signItems(author: Author, what: AccountKind, items: readonly AccountItem[], identity = 0) {
  const { physician } = author
  const time = 1_800_000_000_000
  return author.sign(
    "account",
    new Uint8Array(encodeAccount({ v: 1, suite: "F1", physician, identity, what, items: [...items], time })),
  )
}

/** What stores self-grants of a record. @param prev by epoch, the hashes of those that they replace */
export async function selfGrantsBody(
  author: Author,
  record: RecordId,
  epochs: readonly number[],
  prev: ReadonlyMap<number, Uint8Array> = new Map(),
) {
  const tokens = epochs.map(() => keyToken())
  const items = epochs.map((number, i) => ({
    subject: record,
    number,
    prev: prev.get(number),
    hash: sha256(tokens[i]!),
  }))
  return putSelfGrants.body.encode({ signed: await signItems(author, "self-grants", items), tokens })
}

/** A request's JSON as it comes from whoever checks nothing of it before. */
export function asSent(request: object): object {
  const text = (_: string, value: unknown) => (value instanceof Uint8Array ? encodeBase64url(value) : value)
  return JSON.parse(JSON.stringify(request, text))
}

/** The request that appends a drafted entry. */
export function appendBody(entry: Drafted, since = 0): Record<string, unknown> {
  const { signed, body, summary, statement, grants } = entry
  return appendEntry.body.encode({
    ...signed,
    ...(statement.kind !== "members" && { body }),
    ...((statement.kind !== "members" || statement.summary) && { summary }),
    ...(statement.keyCommit && { selfGrant: keyToken() }),
    ...(grants.length > 0 && { grants: [...grants] }),
    since,
  })
}

export interface SignedIn {
  readonly account: AccountReply
  readonly headers: Record<string, string>
}

const quickStretching = { "argon2id-custom": { iterations: 1, memory: 64, parallelism: 1 } }

function identifiers(username: string, practice: PracticeId) {
  return { client: username, server: `healthcrypt/v1|${practice}|ksf=1` }
}

/** Everything over HTTP that a client does before it writes. */
export class TestClient {
  readonly app: FastifyInstance
  readonly practice: PracticeId
  /** Where it asks from. */
  address = "127.0.0.1"

  constructor(app: FastifyInstance, practice: PracticeId) {
    this.app = app
    this.practice = practice
  }

  async send(method: InjectOptions["method"] & string, url: string, payload?: unknown, headers = {}) {
    const options = {
      method,
      url,
      remoteAddress: this.address,
      headers: { [protocolHeader]: protocolVersion, ...headers },
      ...(payload !== undefined && { payload: payload as InjectOptions["payload"] }),
    }
    return this.app.inject(options as InjectOptions)
  }

  /** Sends and reads a reply that has to be a success. */
  async call<Reply extends z.ZodType>(
    reply: Reply,
    method: InjectOptions["method"] & string,
    url: string,
    payload?: unknown,
    headers = {},
  ): Promise<z.output<Reply>> {
    const response = await this.send(method, url, payload, headers)
    if (response.statusCode !== 200) throw new Error(`${response.statusCode} ${response.body}`)
    return reply.decode(response.json())
  }

  async register(author: Author, password: string, options: RegisterOptions = {}): Promise<SignedIn> {
    const { body } = await this.registration(author, password, options)
    const response = await this.send("POST", paths.registerFinish, body)
    if (response.statusCode !== 200) throw new Error(`${response.statusCode} ${response.body}`)
    const { account } = registerFinish.reply.decode(response.json())
    return { account, headers: carried(account, response.headers["set-cookie"]) }
  }

  /** The finishing request of a registration. */
  async registration(author: Author, password: string, options: RegisterOptions = {}) {
    await ready
    const { clientRegistrationState, registrationRequest } = client.startRegistration({ password })
    const { username, physician } = author
    const code = options.code && { code: Buffer.from(options.code).toString("base64url") }
    const request = { username, registrationRequest, ...code }
    const started = await this.call(registerStart.reply, "POST", paths.registerStart, request)
    const { registrationRecord } = client.finishRegistration({
      password,
      registrationResponse: started.registrationResponse,
      clientRegistrationState,
      identifiers: identifiers(username, this.practice),
      keyStretching: quickStretching,
    })
    const unlocks: UnlockSeal[] = ["password", "recovery"].map((method) => ({
      method,
      generation: 0,
      token: keyToken(),
    }))
    const recoverySeed = options.recoverySeed ?? randomToken(32)
    const identity: IdentityStatement = {
      v: 1,
      suite: "F1",
      physician,
      seq: 0,
      username,
      signKey: author.signKey,
      sealKey: author.sealKey,
      unlocks: unlocks.map(({ method, generation, token }) => ({ method, generation, hash: sha256(token) })),
      time: 1_800_000_000_000,
      ...options.identity,
    }
    const plain = {
      registration: started.registration,
      username,
      physician,
      registrationRecord,
      identity: await author.sign("identity", encodeIdentity(identity)),
      unlocks,
      recoveryKey: (await newSigner(recoverySeed)).publicKey,
      profile: await signToken(author, "profile", paddedToken(200)),
      keyring: await signToken(author, "keyring", paddedToken(1000)),
      carrier: options.carrier ?? ("bearer" as Carrier),
    }
    return { body: registerFinish.body.encode(plain), plain, identity }
  }

  /** OPAQUE's registration of another password. @returns the record to store. */
  async registerAgain(session: SignedIn, username: string, password: string): Promise<string> {
    const { clientRegistrationState, registrationRequest } = client.startRegistration({ password })
    const started = await this.call(
      unlocksStart.reply,
      "POST",
      paths.unlocksStart,
      { registrationRequest },
      session.headers,
    )
    return client.finishRegistration({
      password,
      registrationResponse: started.registrationResponse,
      clientRegistrationState,
      identifiers: identifiers(username, this.practice),
      keyStretching: quickStretching,
    }).registrationRecord
  }

  async startLogin(username: string, password: string, headers = {}) {
    await ready
    const { clientLoginState, startLoginRequest } = client.startLogin({ password })
    const response = await this.send("POST", paths.loginStart, { username, startLoginRequest }, headers)
    return { response, clientLoginState }
  }

  /** @returns null where the library says that the password is wrong. */
  finishLogin(username: string, password: string, clientLoginState: string, loginResponse: string): string | null {
    const done = client.finishLogin({
      password,
      loginResponse,
      clientLoginState,
      identifiers: identifiers(username, this.practice),
      keyStretching: quickStretching,
    })
    return done?.finishLoginRequest ?? null
  }

  /** @param headers such as those of a browser that has a session already */
  async login(
    username: string,
    password: string,
    carrier: Carrier = "bearer",
    headers: Record<string, string> = {},
  ): Promise<SignedIn> {
    const { response, clientLoginState } = await this.startLogin(username, password)
    const { login, loginResponse } = loginStart.reply.parse(response.json())
    const finishLoginRequest = this.finishLogin(username, password, clientLoginState, loginResponse)
    if (finishLoginRequest === null) throw new Error("wrong password")
    const body = { login, finishLoginRequest, carrier }
    const finished = await this.send("POST", paths.loginFinish, body, headers)
    if (finished.statusCode !== 200) throw new Error(`${finished.statusCode} ${finished.body}`)
    const account = loginFinish.reply.decode(finished.json())
    return { account, headers: carried(account, finished.headers["set-cookie"]) }
  }

  async append(session: SignedIn, entry: Drafted, since = 0) {
    return this.send("POST", entriesPath(entry.statement.record), appendBody(entry, since), session.headers)
  }
}

/** Signs up physicians. @returns them, and each one's session with its headers. */
export async function signUp(client: TestClient, ...usernames: string[]) {
  const sessions = new Map<Author, SignedIn>()
  for (const username of usernames) {
    const author = await newAuthor(username)
    sessions.set(author, await client.register(author, "correct horse battery staple"))
  }
  const sessionOf = (author: Author) => sessions.get(author)!
  return { authors: [...sessions.keys()], sessionOf, headersOf: (author: Author) => sessionOf(author).headers }
}

/** How a change of password is spoilt. */
export interface PasswordChange {
  readonly registrationRecord?: string
  readonly generation?: number
  readonly token?: Uint8Array
  /** What the identity lists. */
  readonly listed?: Uint8Array
  readonly spoil?: boolean
}

export interface RegisterOptions {
  /** Of an invitation. */
  readonly code?: Uint8Array
  readonly carrier?: Carrier
  readonly recoverySeed?: Uint8Array
  readonly identity?: Partial<IdentityStatement>
}

/** The headers that carry a session. */
function carried(account: AccountReply, setCookie: string | string[] | undefined): Record<string, string> {
  if (account.session.bearer !== undefined) return { authorization: `Bearer ${account.session.bearer}` }
  const cookie = String(setCookie).split(";")[0] ?? ""
  return { cookie, "sec-fetch-site": "same-origin", [pageHeader]: account.session.page ?? "" }
}

/** What needs no session. */
export const withoutSession: ReadonlySet<string> = new Set([
  paths.practice,
  paths.registerStart,
  paths.registerFinish,
  paths.loginStart,
  paths.loginFinish,
  paths.loginAbandon,
  paths.recoverStart,
  paths.recoverFinish,
  paths.checkpoint,
  paths.tile,
  paths.successions,
])
