import { randomBytes } from "node:crypto"
import { savePatient } from "../../src/client/edits.ts"
import { encodeBase64url } from "../../src/encoding/base64.ts"
import { concat, parseUtf8, utf8 } from "../../src/encoding/bytes.ts"
import { newId, type PracticeId } from "../../src/encoding/ids.ts"
import { logOrigin } from "../../src/proof/checkpoint.ts"
import { leafDataBytes } from "../../src/proof/leaf.ts"
import { paths } from "../../src/protocol/paths.ts"
import { logSigner } from "../../src/server/log.ts"
import type { Attack } from "./attack.ts"
import { fieldsOf } from "./cast.ts"
import { inclusionOf, plantEntry } from "./forge.ts"
import {
  carriedOver,
  checkpoints,
  feed,
  flipped,
  grown,
  packed,
  secondLeaf,
  signed,
  stretching,
  toldOf,
  type WireReceipt,
} from "./log-forge.ts"
import { rewriting } from "./rewriting.ts"
import { accept, home, record, write } from "./steps.ts"

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
