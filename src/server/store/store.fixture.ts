import { newId, type RecordId } from "../../encoding/ids.ts"
import { type ChainHead, extendChain } from "../../proof/chain.ts"
import { openNote, type TreeHead } from "../../proof/checkpoint.ts"
import { leafData } from "../../proof/leaf.ts"
import { leafHash, verifyInclusion } from "../../proof/merkle.ts"
import type { Receipt } from "../../protocol/log.ts"
import { type Author, type Drafted, draftEntry, newAuthor, randomToken } from "../client.fixture.ts"
import type { TestStore } from "../server.fixture.ts"
import type { NewPhysician, NewSession, VerifiedEntry } from "./store.ts"

type Appended = { readonly entry: VerifiedEntry & Drafting; readonly receipt: Receipt }
type Drafting = { readonly drafted: Drafted }

export async function enrol(at: TestStore, username: string): Promise<Author> {
  const author = await newAuthor(username)
  await register(at, author)
  return author
}

export function register(at: TestStore, author: Author) {
  const physician: NewPhysician = {
    physician: author.physician,
    username: author.username,
    opaqueRecord: "record",
    identity: { statement: randomToken(100), signature: randomToken(64) },
    unlocks: [{ method: "password", generation: 0, token: randomToken(137) }],
    recoveryKey: randomToken(32),
    profile: randomToken(100),
    keyring: randomToken(100),
  }
  return at.store.register(physician, newSession(author, at.clock.time))
}

export function newSession(author: Author, created: number): NewSession {
  const tokenHash = Buffer.from(randomToken(32)).toString("base64url")
  return {
    id: newId(),
    physician: author.physician,
    tokenHash,
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
  return openNote(receipt.log.checkpoint, `healthcrypt/${at.store.practice}`, at.signer.publicKey)
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
