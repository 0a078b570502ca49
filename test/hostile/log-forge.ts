import { randomBytes } from "node:crypto"
import { sha256 } from "#sha256"
import { savePatient } from "../../src/client/edits.ts"
import { encodeBase64url, parseBase64url } from "../../src/encoding/base64.ts"
import { extendChain } from "../../src/proof/chain.ts"
import { logOrigin } from "../../src/proof/checkpoint.ts"
import { parseEntry } from "../../src/proof/entry.ts"
import { leafData } from "../../src/proof/leaf.ts"
import { logSigner } from "../../src/server/log.ts"
import type { Between } from "../practice.ts"
import type { Attack, Scene } from "./attack.ts"
import { fieldsOf } from "./cast.ts"
import { altered } from "./forge.ts"
import { rewriting, type WireAnswer, type WireEntry } from "./rewriting.ts"
import type { World } from "./world.ts"

/** Where clients ask what is new. */
export const feed = /^\/api\/changes\?since=\d{1,9}&/

/** What a write is acknowledged with. */
export interface WireReceipt extends WireAnswer {
  leaf: { index: number; time: number; salt: string }
}

/** Gives every answer another checkpoint. @param make gets the size that the client has pinned, and the honest note */
export function checkpoints(make: (world: World, pinned: number, note: string) => string | Promise<string>) {
  return ({ world }: Scene): Between =>
    (request, send) => {
      const pinned = Number(/[?&]pinned=(\d+)/.exec(request.path)?.[1] ?? /[?&]since=(\d+)/.exec(request.path)?.[1])
      return rewriting(/[?&](pinned|since)=/, async ({ log: state }) => {
        if (state) state.checkpoint = await make(world, pinned, state.checkpoint)
      })()(request, send)
    }
}

/** A checkpoint as the log itself would sign it. */
export function signed({ logSeed, store }: World, size: number, root: Uint8Array | null): string {
  return logSigner(logSeed).sign({ origin: logOrigin(store.practice), size, root: root! })
}

export function stretching(change: (data: Uint8Array) => Uint8Array) {
  return rewriting(feed, ({ leaves }) => {
    if (leaves!.data !== "") leaves!.data = encodeBase64url(change(parseBase64url(leaves!.data)))
  })
}

/** base64url of bytes of which the first is another */
export function flipped(text: string): string {
  const bytes = parseBase64url(text)
  return encodeBase64url(bytes.length === 0 ? bytes : bytes.with(0, bytes[0]! ^ 1))
}

/** The log goes on past what any device of ben's has seen. */
export async function grown({ accomplice }: Scene): Promise<void> {
  await (await accomplice("dee")).session.updateKeyring((keyring) => keyring)
}

/** ben's records lie packed, and his keyring says which. */
export async function packed({ accomplice }: Scene): Promise<void> {
  await (await accomplice("ben")).roster.fold(true)
}

/** ada writes in a history that ben never sees, and what she wrote is put into his. */
export async function carriedOver({ world, cast, accomplice, fork }: Scene): Promise<void> {
  const id = cast.records.shared
  const there = await fork()
  const ada = await accomplice("ada", there)
  await ada.session.updateKeyring((keyring) => keyring)
  const { head } = await ada.records.open(id)
  await savePatient(ada, id, head.seq, fieldsOf("shared", "Scurvy"))
  const [entry] = there.sql<Record<"statement" | "signature" | "body" | "summary", Uint8Array>>(
    "select statement, signature, body, summary from entry where record = ? order by seq desc limit 1",
    id,
  )
  const ben = await accomplice("ben")
  while (world.store.treeHead().size <= there.store.treeHead().size) await ben.session.updateKeyring((one) => one)
  const { statement, signature, body, summary } = entry!
  const given = { signed: { statement, signature }, body, summary, selfGrant: undefined, grants: [] }
  const before = (await world.store.chainHead(id))!
  const { size } = world.store.treeHead()
  const link = await extendChain(before, id, given.signed, size, (...asked) => world.store.findKeys(...asked))
  await world.store.append({ ...link, ...given, before, since: 0 })
}

/** A leaf more for the entry 3 of `shared`. @returns what it says */
export async function secondLeaf({ world, cast }: Scene): Promise<WireEntry> {
  const subject = cast.records.shared
  const [row] = world.sql<{ statement: Uint8Array }>(
    "select statement from entry where record = ? and seq = 3",
    subject,
  )
  const statement = altered(encodeBase64url(row!.statement), (fields) => {
    fields.time = 1
  })
  const { author, seq: number } = parseEntry(parseBase64url(statement))
  const [time, salt] = [Date.now(), randomBytes(16)]
  const about = { subject, stream: "entry", type: "entry", number, actor: author, time, salt } as const
  let index = 0
  await world.rewriteLog((leaves) => {
    index = leaves.length
    return [...leaves, leafData({ ...about, statementHash: sha256(parseBase64url(statement)) })]
  })
  const signature = encodeBase64url(new Uint8Array(64))
  return { record: subject, statement, signature, leaf: { index, time, salt: encodeBase64url(salt) } }
}

/** Only before a device that has the record packed: one that sees both leaves needs no more than that. */
export function toldOf(): Pick<Attack, "plant" | "between" | "honest"> {
  const told = new WeakMap<World, WireEntry>()
  return {
    plant: async (scene) => {
      await packed(scene)
      told.set(scene.world, await secondLeaf(scene))
    },
    between: ({ world }) =>
      rewriting(feed, (answer) => {
        answer.entries!.push(told.get(world)!)
        answer.entries!.sort((a, b) => a.leaf.index - b.leaf.index)
      })(),
    honest: { plant: packed },
  }
}
