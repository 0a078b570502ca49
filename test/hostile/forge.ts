import { sha256 } from "#sha256"
import type { Workspace } from "../../src/client/workspace.ts"
import { encodeBody } from "../../src/clinical/body.ts"
import { encodeSummary } from "../../src/clinical/summary.ts"
import { encodeBase64url, parseBase64url } from "../../src/encoding/base64.ts"
import { compare } from "../../src/encoding/bytes.ts"
import { encodeCbor, parseCbor } from "../../src/encoding/cbor.ts"
import { idBytes, type PhysicianId } from "../../src/encoding/ids.ts"
import { type EntryStatement, encodeEntry, type Member, type Role } from "../../src/proof/entry.ts"
import { inclusionRanges, type LeafRange, leafHash, setRanges, subtrees } from "../../src/proof/merkle.ts"
import type { Grant } from "../../src/server/store/store.ts"
import { type GrantPlace, importRecipient, sealGrant } from "../../src/vault/grants.ts"
import { commitTo, newSecretKey, type RecordKey } from "../../src/vault/keys.ts"
import { entryPlace, selfGrantPlace, summaryPlace } from "../../src/vault/places.ts"
import { seal } from "../../src/vault/seal.ts"
import { importSigner, type Signer } from "../../src/vault/signer.ts"
import { rangeHash } from "../tree-hash.ts"
import type { Scene } from "./attack.ts"
import { patients, type RecordName, type Username } from "./cast.ts"
import type { World } from "./world.ts"

/** A statement that says something else, encoded as it should be. @param statement base64url */
export function altered(statement: string, change: (fields: Record<string, unknown>) => void): string {
  const fields = parseCbor(parseBase64url(statement), 65_536) as Record<string, unknown>
  change(fields)
  return encodeBase64url(encodeCbor(fields))
}

/** Keys that belong to nobody here. */
export function strangersKey(): Promise<Signer> {
  return importSigner(newSecretKey<"signing">())
}

/** What goes with a forged entry. */
interface Parts {
  readonly signer: Signer
  /** Under which body and summary are sealed: the author's, where they are in league; otherwise nobody's. */
  readonly key?: RecordKey
  readonly grants?: readonly Grant[]
  readonly selfGrant?: Uint8Array
}

/** What an entry says other than an honest `write` would. */
export type Said = Partial<EntryStatement> & Pick<EntryStatement, "author">

/** Puts an entry on top of a record past every check of the server's: stored and in the log, whoever signed it, whatever it says.
 * What is not said is what an honest `write` would say. */
export async function plantEntry(
  { world, cast }: Scene,
  name: RecordName,
  say: Said,
  { signer, key = newSecretKey<"record">(), grants = [], selfGrant }: Parts,
): Promise<void> {
  const record = cast.records[name]
  const before = (await world.store.chainHead(record))!
  const { size, root } = world.store.treeHead()
  const { kind = "write", epoch = before.epoch, author } = say
  const seq = before.seq + 1
  const written = kind === "write"
  const body = written
    ? await seal(key, entryPlace(record, epoch, seq, author), encodeBody({ by: "", changes: [] }))
    : undefined
  const summary =
    written || say.keyCommit !== undefined
      ? await seal(key, summaryPlace(record, epoch, seq), encodeSummary(summaryOf(name)))
      : undefined
  const entry: EntryStatement = {
    v: 1,
    suite: "F1",
    record,
    seq,
    prev: before.hash,
    epoch,
    kind,
    time: Date.now(),
    seen: { size, root },
    ...(body && { body: { hash: sha256(body), size: body.length } }),
    ...(summary && { summary: { hash: sha256(summary), size: summary.length } }),
    ...(grants.length > 0 && { grants: grants.map(({ recipient, grant }) => ({ recipient, hash: sha256(grant) })) }),
    ...say,
  }
  const statement = encodeEntry(entry)
  const commits = new Map(before.commits)
  if (entry.keyCommit !== undefined) commits.set(epoch, entry.keyCommit)
  const head = {
    ...before,
    seq,
    hash: sha256(statement),
    epoch,
    members: entry.members ?? before.members,
    commits,
    mustRaise: before.mustRaise && entry.keyCommit === undefined,
    seen: new Map(before.seen).set(author, entry.seen),
  }
  const signed = { statement, signature: await signer.sign("entry", statement) }
  await world.store.append({
    entry: { ...entry, record },
    head,
    before,
    signed,
    body,
    summary,
    selfGrant,
    grants,
    since: 0,
  })
}

const summaryOf = (name: RecordName) => ({
  firstName: "Pat",
  lastName: patients[name],
  birthDate: "",
  diagnoses: [],
  patient: "",
  archived: false,
})

/** How a malicious granter's grant differs from an honest one. */
export interface GrantLie {
  readonly place?: Partial<GrantPlace>
  /** In the place of every key from epoch 0 on, or of the new one. */
  readonly keys?: (honest: ReadonlyMap<number, RecordKey>) => ReadonlyMap<number, RecordKey>
  /** Whose keys they are, where the granter has none. */
  readonly holder?: Workspace
}

/** Adds a member by a real entry of an accomplice's, with a grant that may be none. An accomplice who is no member lists themself as an
 * owner, or nobody could think that they are one. */
export async function plantInvitation(
  scene: Scene,
  granter: Workspace,
  name: RecordName,
  whom: Username,
  role: Role,
  { place = {}, keys = (honest) => honest, holder = granter }: GrantLie = {},
): Promise<void> {
  const { world, cast } = scene
  const before = (await world.store.chainHead(cast.records[name]))!
  const held = (await holder.records.open(cast.records[name])).keys
  const honest = new Map(held.map((key, epoch) => [epoch, key!]))
  const { identity, physician: author, signer } = granter.session
  const is = (one: PhysicianId) => (member: Member) => member.physician === one
  const self: Member = { physician: author, fingerprint: identity.fingerprint, role: "owner" }
  const added = sorted([await memberOf(granter, whom, role), ...(before.members.some(is(author)) ? [] : [self])])
  const grants = await Promise.all(added.map((member) => grantOf(scene, granter, name, member, place, keys(honest))))
  const kept = before.members.filter(({ physician }) => !added.some(is(physician)))
  const say: Said = { kind: "members", author, members: sorted([...kept, ...added]) }
  await plantEntry(scene, name, say, { signer, grants })
}

/** Raises the epoch by a real entry of an accomplice's: the same members, or others, each with the key that `keyFor` gives them. */
export async function plantEpoch(
  scene: Scene,
  owner: Workspace,
  name: RecordName,
  {
    signer = owner.session.signer,
    members,
    keysFor = (_, honest) => honest,
  }: {
    readonly signer?: Signer
    readonly members?: (before: readonly Member[]) => readonly Member[]
    readonly keysFor?: (
      member: Member,
      honest: ReadonlyMap<number, RecordKey>,
      held: readonly RecordKey[],
    ) => ReadonlyMap<number, RecordKey>
  } = {},
): Promise<void> {
  const { world, cast } = scene
  const record = cast.records[name]
  const before = (await world.store.chainHead(record))!
  const held = (await owner.records.open(record)).keys.filter((one) => one !== undefined)
  const epoch = before.epoch + 1
  const key = newSecretKey<"record">()
  const list = members?.(before.members) ?? before.members
  const grants = await Promise.all(
    list
      .filter(({ physician }) => physician !== owner.session.physician)
      .map((member) => grantOf(scene, owner, name, member, {}, keysFor(member, new Map([[epoch, key]]), held))),
  )
  const { physician, key: own } = owner.session
  const selfGrant = await seal(own, selfGrantPlace(physician, record, epoch), key, { exact: true })
  const say: Said = { kind: "members", author: physician, epoch, members: [...list] }
  const keyCommit = await commitTo(key, record, epoch)
  await plantEntry(scene, name, { ...say, keyCommit }, { signer, key, grants, selfGrant })
}

/** A grant to somebody, well made, for the record's next entry. @param place what is other about it */
export async function grantOf(
  { world, cast }: Scene,
  owner: Workspace,
  name: RecordName,
  { physician, fingerprint, role }: Member,
  place: Partial<GrantPlace>,
  keys: ReadonlyMap<number, RecordKey>,
): Promise<Grant> {
  const { identity, people } = owner.session
  const before = (await world.store.chainHead(cast.records[name]))!
  const recipient = (await people.keysOf(physician, fingerprint)) ?? (await people.refresh(physician))
  const honest: GrantPlace = {
    record: cast.records[name],
    granter: identity.physician,
    granterFingerprint: identity.fingerprint,
    recipient: physician,
    recipientFingerprint: fingerprint,
    seq: before.seq + 1,
    role,
  }
  const sealed = await sealGrant(await importRecipient(recipient.sealKey), { ...honest, ...place }, { by: "", keys })
  return { recipient: physician, grant: sealed }
}

/** Somebody as an accomplice knows them. */
export async function memberOf({ session }: Workspace, whom: Username, role: Role): Promise<Member> {
  const { physician, fingerprint } = await session.people.find(whom)
  return { physician, fingerprint, role }
}

export function sorted(members: readonly Member[]): Member[] {
  return [...members].sort((a, b) => compare(idBytes(a.physician), idBytes(b.physician)))
}

/** That a leaf is in an answer's tree: what a server can prove of any of its leaves. @param checkpoint of the answer */
export function inclusionOf(world: World, index: number, checkpoint: string): string {
  return proved(world, checkpoint, (size) => inclusionRanges(index, size))
}

/** That leaves, in rising order, are all in an answer's tree. @param checkpoint of the answer */
export function setProofOf(world: World, indexes: readonly number[], checkpoint: string): string {
  return proved(world, checkpoint, (size) => setRanges(indexes, size))
}

/** The hashes of what stands after leaf `at` in a tree of `size` leaves, as the change feed has them beside a stretch. */
export function rangesAfter(world: World, at: number, size: number): string {
  return provedIn(world, size, () =>
    subtrees({ from: at, to: size }).map(({ level, index }) => ({
      from: index * 2 ** level,
      to: (index + 1) * 2 ** level,
    })),
  )
}

function proved(world: World, checkpoint: string, ranges: (size: number) => LeafRange[]): string {
  return provedIn(world, Number(checkpoint.split("\n")[1]), ranges)
}

function provedIn(world: World, size: number, ranges: (size: number) => LeafRange[]): string {
  const hashes = world
    .sql<{ data: Uint8Array }>("select data from leaf where idx < ? order by idx", size)
    .map(({ data }) => leafHash(new Uint8Array(data)))
  return Buffer.concat(ranges(size).map((range) => rangeHash(hashes, range))).toString("base64url")
}
