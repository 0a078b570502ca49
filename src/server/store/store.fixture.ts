import { sha256 } from "#sha256"
import { newId, type RecordId } from "../../encoding/ids.ts"
import { type ChainHead, extendChain } from "../../proof/chain.ts"
import { openNote, type TreeHead } from "../../proof/checkpoint.ts"
import { parseEntry } from "../../proof/entry.ts"
import { leafData } from "../../proof/leaf.ts"
import { leafHash, verifyInclusion, verifySet } from "../../proof/merkle.ts"
import type { LogState, Receipt } from "../../protocol/log.ts"
import { type Author, type Drafted, draftEntry, newAuthor, randomToken, signToken } from "../client.fixture.ts"
import type { TestStore } from "../server.fixture.ts"
import type { EntriesReply, NewPhysician, NewSession, VerifiedEntry } from "./store.ts"

type Appended = { readonly entry: VerifiedEntry & Drafting; readonly receipt: Receipt }
type Drafting = { readonly drafted: Drafted }

export async function enrol(at: TestStore, username: string): Promise<Author> {
  const author = await newAuthor(username)
  await register(at, author)
  return author
}

export async function register(at: TestStore, author: Author) {
  return at.store.register(await physicianOf(author), newSession(author, at.clock.time))
}

export async function physicianOf(author: Author): Promise<NewPhysician> {
  return {
    physician: author.physician,
    username: author.username,
    opaqueRecord: "record",
    identity: { statement: randomToken(100), signature: randomToken(64) },
    unlocks: [{ method: "password", generation: 0, token: randomToken(137) }],
    recoveryKey: randomToken(32),
    profile: await signToken(author, "profile", randomToken(100)),
    keyring: await signToken(author, "keyring", randomToken(100)),
  }
}

export function newSession(author: Author, created: number): NewSession {
  const tokenHash = Buffer.from(randomToken(32)).toString("base64url")
  return {
    id: newId(),
    physician: author.physician,
    tokenHash,
    pageHash: null,
    half: null,
    carrier: "bearer",
    created,
    expires: created + 1000 * 3600,
  }
}

export async function draft(
  at: Pick<TestStore, "store">,
  author: Author,
  record: RecordId,
  on: Appended | null,
  seen?: TreeHead,
  bytes?: number,
): Promise<VerifiedEntry & Drafting> {
  const head = seen && { size: seen.size, root: seen.root }
  const drafted = await draftEntry(author, record, on?.entry.drafted ?? null, head, {}, bytes)
  const before: ChainHead | null = await at.store.chainHead(record)
  const { body, summary, signed } = drafted
  const { size } = at.store.treeHead()
  const link = await extendChain(before, record, signed, size, () => author)
  const selfGrant = before === null ? randomToken(89) : undefined
  return { ...link, before, signed, body, summary, selfGrant, grants: [], since: 0, drafted }
}

export async function append(
  at: TestStore,
  author: Author,
  record: RecordId,
  on: Appended | null,
  seen?: TreeHead,
  bytes?: number,
): Promise<Appended> {
  const entry = await draft(at, author, record, on, seen, bytes)
  return { entry, receipt: await at.store.append(entry) }
}

export function headOf(at: TestStore, receipt: Receipt): Promise<TreeHead> {
  return openLog(at, receipt.log)
}

export function openLog(at: TestStore, { checkpoint }: LogState): Promise<TreeHead> {
  return openNote(checkpoint, `healthcrypt/${at.store.practice}`, at.signer.publicKey)
}

/** Whether a stretch of a record's chain proves each of its entries to be in the log. */
export function provesAll(record: RecordId, { entries, inclusion }: EntriesReply, { size, root }: TreeHead): boolean {
  const leaves = entries.map(({ statement, leaf }) => {
    const { seq: number, author: actor } = parseEntry(statement)
    const about = { subject: record, stream: "entry", type: "entry", number, actor } as const
    return { index: leaf.index, hash: leafHash(leafData({ ...about, ...leaf, statementHash: sha256(statement) })) }
  })
  return verifySet(leaves, size, inclusion, root)
}

export function includes(
  head: TreeHead,
  { leaf, inclusion }: Receipt,
  author: Author,
  { entry, head: link }: VerifiedEntry,
) {
  const data = leafData({
    subject: entry.record,
    stream: "entry",
    type: "entry",
    number: entry.seq,
    actor: author.physician,
    statementHash: link.hash,
    ...leaf,
  })
  return verifyInclusion(leafHash(data), leaf.index, head.size, inclusion, head.root)
}
