import { randomBytes } from "node:crypto"
import { sha256 } from "#sha256"
import { savePatient } from "../../src/client/edits.ts"
import { encodeBase64url, parseBase64url } from "../../src/encoding/base64.ts"
import { concat, parseUtf8, utf8 } from "../../src/encoding/bytes.ts"
import type { PracticeId } from "../../src/encoding/ids.ts"
import { newId } from "../../src/encoding/ids.ts"
import { extendChain } from "../../src/proof/chain.ts"
import { logOrigin } from "../../src/proof/checkpoint.ts"
import { parseEntry } from "../../src/proof/entry.ts"
import { leafData, leafDataBytes } from "../../src/proof/leaf.ts"
import { paths } from "../../src/protocol/paths.ts"
import { logSigner } from "../../src/server/log.ts"
import type { Between } from "../practice.ts"
import type { Attack, Scene } from "./attack.ts"
import { fieldsOf } from "./cast.ts"
import { altered, inclusionOf, plantEntry } from "./forge.ts"
import { rewriting, type WireAnswer, type WireEntry } from "./rewriting.ts"
import { accept, home, record, write } from "./steps.ts"
import type { World } from "./world.ts"

const feed = /^\/api\/changes\?since=\d{1,9}&/
const step = home("own")

/** A log that is not the one that was seen, or not one at all. */
export const log: readonly Attack[] = [
  {
    name: "the checkpoint is smaller than the pin",
    code: "TAMPERED_ROLLBACK",
    step,
    between: checkpoints(async (world, pinned) => signed(world, pinned - 1, await world.store.rootAt(pinned - 1))),
  },
  {
    name: "the checkpoint is of the pin's size, with another root",
    code: "TAMPERED_FORK",
    step,
    between: checkpoints((world, pinned) => signed(world, pinned, randomBytes(32))),
  },
  {
    name: "the checkpoint is larger, with another root",
    code: "TAMPERED_FORK",
    step,
    between: checkpoints((world, pinned) => signed(world, pinned + 7, randomBytes(32))),
  },
  {
    name: "the consistency proof is broken",
    code: "TAMPERED_FORK",
    step,
    plant: grown,
    between: rewriting(/[?&]pinned=\d{1,9}\b/, ({ log: state }) => {
      if (state) state.consistency = flipped(state.consistency)
    }),
  },
  {
    name: "the checkpoint is of another origin",
    code: "TAMPERED_LOG",
    step,
    between: checkpoints(({ logSeed, store }) => {
      const { size, root } = store.treeHead()
      return logSigner(logSeed).sign({ origin: logOrigin(newId<"practice">() as PracticeId), size, root })
    }),
  },
  {
    name: "the checkpoint is signed with another key",
    code: "TAMPERED_LOG",
    step,
    between: checkpoints(({ store }) => {
      const { size, root } = store.treeHead()
      return logSigner(randomBytes(32)).sign({ origin: logOrigin(store.practice), size, root })
    }),
  },
  {
    name: "the checkpoint carries the log's name over a signature of nobody's",
    code: "TAMPERED_LOG",
    step,
    between: checkpoints((_, __, note) => note.replace(/.{8}=*\n$/, (end) => `${"A".repeat(8)}${end.slice(8)}`)),
  },
  {
    name: "a receipt has the proof of another leaf",
    code: "TAMPERED_LOG",
    step: write("own"),
    between: ({ world }) =>
      rewriting<WireReceipt>(/\/entries$/, (answer) => {
        answer.leaf.index--
        answer.inclusion = inclusionOf(world, answer.leaf.index, answer.log!.checkpoint)
      })(),
  },
  {
    name: "a receipt is for what was never stored",
    code: "TAMPERED_LOG",
    step: write("own"),
    between:
      ({ world }) =>
      async (request, send) => {
        if (request.method !== "POST" || !request.path.endsWith("/entries")) return send(request)
        const { since } = JSON.parse(parseUtf8(request.body!))
        const state = await world.store.logState(since)
        const { size } = world.store.treeHead()
        const inclusion = inclusionOf(world, size - 1, state.checkpoint)
        const { checkpoint, consistency } = state
        const receipt: WireReceipt = {
          leaf: { index: size - 1, time: Date.now(), salt: encodeBase64url(randomBytes(16)) },
          inclusion,
          log: { checkpoint, consistency: encodeBase64url(concat(...consistency)) },
        }
        return { status: 200, body: utf8(JSON.stringify(receipt)) }
      },
  },
  {
    name: "a record's newest entry has another leaf's proof",
    code: "TAMPERED_LOG",
    step: record("own"),
    between: rewriting(/\/entries\?/, (answer) => {
      answer.inclusion = flipped(answer.inclusion!)
    }),
  },
  {
    name: "an entry's author had seen another log",
    code: "TAMPERED_FORK",
    step: home("shared"),
    plant: async (scene) => {
      const { session, records } = await scene.accomplice("ada")
      const { keys } = await records.open(scene.cast.records.shared)
      const seen = { size: scene.world.store.treeHead().size, root: randomBytes(32) }
      const parts = { signer: session.signer, key: keys.at(-1)! }
      await plantEntry(scene, "shared", { author: session.physician, seen: { ...seen } }, parts)
    },
  },
  {
    name: "two physicians live in two histories, and one entry is carried over",
    code: "TAMPERED_FORK",
    step: home("shared"),
    plant: carriedOver,
  },
  {
    name: "the proofs of what authors had seen are broken",
    code: "TAMPERED_FORK",
    step: accept("invited"),
    between: rewriting<{ proofs: string[] }>(new RegExp(`^${paths.prefixes}$`), (answer) => {
      answer.proofs = answer.proofs.map(flipped)
    }),
  },
  {
    name: "one number of a record has two leaves",
    code: "TAMPERED_LOG",
    step: home("shared"),
    plant: async (scene) => void (await secondLeaf(scene)),
  },
  {
    name: "one number of a record has two leaves, of which the later comes with an entry that nobody signed",
    code: "TAMPERED_LOG",
    step: home("shared"),
    ...toldOf(),
  },
  {
    name: "an entry's leaf says something else",
    code: "TAMPERED_LOG",
    step: home("shared"),
    plant: async (scene) => {
      const ada = await scene.accomplice("ada")
      const { id, head } = await ada.records.open(scene.cast.records.shared)
      await savePatient(ada, id, head.seq, fieldsOf("shared", "Scurvy"))
      const { leaf } = ada.roster.rows.get(id)!
      await scene.world.rewriteLog((leaves) =>
        leaves.with(leaf, concat(leaves[leaf]!.subarray(0, 32), new Uint8Array(32))),
      )
    },
  },
  {
    name: "the leaves of what is new are altered",
    code: "TAMPERED_LOG",
    step,
    between: stretching((data) => data.with(40, data[40]! ^ 1)),
  },
  {
    name: "the leaves of what is new are cut",
    code: "TAMPERED_LOG",
    step,
    between: stretching((data) => data.subarray(leafDataBytes)),
  },
  {
    name: "two leaves of what is new change places",
    code: "TAMPERED_LOG",
    step,
    between: stretching((data) => {
      const [a, b] = [data.slice(0, leafDataBytes), data.slice(leafDataBytes, 2 * leafDataBytes)]
      return concat(b, a, data.subarray(2 * leafDataBytes))
    }),
  },
  {
    name: "what stands before the leaves of what is new is another tree",
    code: "TAMPERED_LOG",
    step,
    plant: packed,
    between: rewriting(feed, ({ leaves }) => {
      leaves!.left = flipped(leaves!.left)
    }),
    honest: { plant: packed },
  },
]

interface WireReceipt extends WireAnswer {
  leaf: { index: number; time: number; salt: string }
}

/** Gives every answer another checkpoint. @param make gets the size that the client has pinned, and the honest note */
function checkpoints(make: (world: World, pinned: number, note: string) => string | Promise<string>) {
  return ({ world }: Scene): Between =>
    (request, send) => {
      const pinned = Number(/[?&]pinned=(\d+)/.exec(request.path)?.[1] ?? /[?&]since=(\d+)/.exec(request.path)?.[1])
      return rewriting(/[?&](pinned|since)=/, async ({ log: state }) => {
        if (state) state.checkpoint = await make(world, pinned, state.checkpoint)
      })()(request, send)
    }
}

/** A checkpoint as the log itself would sign it. */
function signed({ logSeed, store }: World, size: number, root: Uint8Array | null): string {
  return logSigner(logSeed).sign({ origin: logOrigin(store.practice), size, root: root! })
}

function stretching(change: (data: Uint8Array) => Uint8Array) {
  return rewriting(feed, ({ leaves }) => {
    if (leaves!.data !== "") leaves!.data = encodeBase64url(change(parseBase64url(leaves!.data)))
  })
}

/** base64url of bytes of which the first is another */
function flipped(text: string): string {
  const bytes = parseBase64url(text)
  return encodeBase64url(bytes.length === 0 ? bytes : bytes.with(0, bytes[0]! ^ 1))
}

/** The log goes on past what any device of ben's has seen. */
async function grown({ accomplice }: Scene): Promise<void> {
  await (await accomplice("dee")).session.updateKeyring((keyring) => keyring)
}

async function packed({ accomplice }: Scene): Promise<void> {
  await (await accomplice("ben")).roster.fold(true)
}

/** ada writes in a history that ben never sees, and what she wrote is put into his. */
async function carriedOver({ world, cast, accomplice, fork }: Scene): Promise<void> {
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
async function secondLeaf({ world, cast }: Scene): Promise<WireEntry> {
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
function toldOf(): Pick<Attack, "plant" | "between" | "honest"> {
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
