import { encodeBase64url, parseBase64url } from "../../src/encoding/base64.ts"
import { concat } from "../../src/encoding/bytes.ts"
import { encodeCbor, parseCbor } from "../../src/encoding/cbor.ts"
import { idBytes, type RecordId } from "../../src/encoding/ids.ts"
import type { ErrorCode } from "../../src/errors.ts"
import type { EntryStatement } from "../../src/proof/entry.ts"
import { emptyRoot } from "../../src/proof/merkle.ts"
import type { Attack, Scene } from "./attack.ts"
import { altered, plantEntry, strangersKey } from "./forge.ts"
import { entriesOf, rewriting, type WireEntry } from "./rewriting.ts"
import { home } from "./steps.ts"

type Fields = Record<string, unknown>

/** Statements that say something else than was signed, and statements that were signed by a key that is not the author's, or by an
 * author who lies. The entry is the newest of `shared`, ada's `write`, where nothing else is said. */
export const statements: readonly Attack[] = [
  said("another suite", "TAMPERED_CHAIN", (fields) => {
    fields.suite = "F2"
  }),
  said("another version", "TAMPERED_CHAIN", (fields) => {
    fields.v = 2
  }),
  said("a field that nobody knows", "TAMPERED_CHAIN", (fields) => {
    fields.trust = true
  }),
  said("an epoch that is over", "TAMPERED_CHAIN", (fields) => {
    fields.epoch = 0
  }),
  said("an epoch to come", "TAMPERED_CHAIN", (fields) => {
    fields.epoch = 2
  }),
  said("another kind", "TAMPERED_CHAIN", (fields) => {
    fields.kind = "open"
  }),
  said("a member as author who did not write it", "TAMPERED_SIGNATURE", (fields, { cast }) => {
    fields.author = idBytes(cast.ids.ben)
  }),
  said("somebody as author who was removed", "TAMPERED_CHAIN", (fields, { cast }) => {
    fields.author = idBytes(cast.ids.gus)
  }),
  said("another time", "TAMPERED_SIGNATURE", (fields) => {
    fields.time = Number(fields.time) - 86_400_000
  }),
  said("that its author has seen another tree", "TAMPERED_SIGNATURE", (fields) => {
    fields.seen = { ...(fields.seen as object), root: emptyRoot }
  }),
  said("that its author has seen more than there was", "TAMPERED_CHAIN", (fields) => {
    fields.seen = { ...(fields.seen as object), size: 1_000_000 }
  }),
  said("another content", "TAMPERED_SIGNATURE", (fields, _, entry) => {
    const body = parseBase64url(entry.summary!)
    fields.body = { ...(fields.body as object), size: body.length }
  }),
  {
    name: "a members entry says another role, under the old signature",
    code: "TAMPERED_SIGNATURE",
    step: home("shared"),
    between: rewritten(1, (statement) =>
      altered(statement, (fields) => {
        for (const member of fields.members as Fields[]) member.role = "owner"
      }),
    ),
  },
  {
    name: "a statement says the same in another encoding",
    code: "TAMPERED_CHAIN",
    step: home("shared"),
    between: rewritten(7, (statement) => {
      const fields = Object.entries(parseCbor(parseBase64url(statement), 65_536))
      const pairs = fields.reverse().map(([name, value]) => concat(encodeCbor(name), encodeCbor(value)))
      return encodeBase64url(concat(Uint8Array.of(0xa0 + fields.length), ...pairs))
    }),
  },
  {
    name: "an entry in an owner's name is signed by a stranger, logged and all",
    code: "TAMPERED_SIGNATURE",
    step: home("shared"),
    plant: async (scene) =>
      plantEntry(scene, "shared", { author: scene.cast.ids.ada }, { signer: await strangersKey() }),
  },
  {
    name: "an entry in an owner's name is signed by another member, logged and all",
    code: "TAMPERED_SIGNATURE",
    step: home("shared"),
    plant: async (scene) => {
      const { session } = await scene.accomplice("cyd")
      await plantEntry(scene, "shared", { author: scene.cast.ids.ada }, { signer: session.signer })
    },
  },
  lie("what belongs to another record", "TAMPERED_CHAIN", ({ other }) => ({ record: other })),
  lie("a seq that skips one", "TAMPERED_CHAIN", ({ seq }) => ({ seq: seq + 2 })),
  lie("a prev that is another entry", "TAMPERED_CHAIN", () => ({ prev: emptyRoot })),
  lie("an epoch that is over", "TAMPERED_CHAIN", () => ({ epoch: 0 })),
  lie("an epoch that nobody began", "TAMPERED_CHAIN", ({ epoch }) => ({ epoch: epoch + 1 })),
  lie("that they have seen a tree that never was", "TAMPERED_FORK", ({ seen }) => ({
    seen: { ...seen, root: emptyRoot },
  })),
  lie("that they have seen nothing of what they follow", "TAMPERED_CHAIN", ({ leaf, seen }) => ({
    seen: { ...seen, size: leaf },
  })),
]

/** The newest entry of `shared` says something else, under the signature that it has. */
function said(what: string, code: ErrorCode, change: (fields: Fields, scene: Scene, entry: WireEntry) => void): Attack {
  return {
    name: `an entry says ${what}, under the old signature`,
    code,
    step: home("shared"),
    between: (scene) =>
      rewritten(7, (statement, entry) => altered(statement, (fields) => change(fields, scene, entry)))(scene),
  }
}

interface Standing {
  /** Another record than the one that is written in. */
  readonly other: RecordId
  readonly seq: number
  readonly epoch: number
  readonly leaf: number
  readonly seen: EntryStatement["seen"]
}

/** Ada herself signs an entry that says what it must not, and the server takes it. */
function lie(what: string, code: ErrorCode, say: (standing: Standing) => Partial<EntryStatement>): Attack {
  return {
    name: `an owner signs ${what}, logged and all`,
    code,
    step: home("shared"),
    plant: (scene) => signAsAda(scene, say),
    honest: { plant: signAsAda },
  }
}

async function signAsAda(scene: Scene, say?: (standing: Standing) => Partial<EntryStatement>): Promise<void> {
  const { session, records } = await scene.accomplice("ada")
  const { keys, head } = await records.open(scene.cast.records.shared)
  const { size, root } = scene.world.store.treeHead()
  const standing = {
    other: scene.cast.records.other,
    seq: head.seq,
    epoch: head.epoch,
    leaf: head.leaf,
    seen: { size, root },
  }
  const parts = { signer: session.signer, key: keys[head.epoch]! }
  await plantEntry(scene, "shared", { author: session.physician, ...say?.(standing) }, parts)
}

/** Another statement stands in the place of entry `seq` of `shared`, in what is new and when the record is read. */
function rewritten(seq: number, statement: (statement: string, entry: WireEntry) => string) {
  return ({ cast, world }: Scene) => {
    const [entry] = world.sql<{ leaf: number }>(
      "select leaf from entry where record = ? and seq = ?",
      cast.records.shared,
      seq,
    )
    return rewriting(/^\/api\/(changes\?|records\/[^/]+\/entries)/, (answer) => {
      for (const one of entriesOf(answer))
        if (one.leaf.index === entry!.leaf) one.statement = statement(one.statement, one)
    })()
  }
}
