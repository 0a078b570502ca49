import { sha256 } from "#sha256"
import { unshare } from "../../src/client/sharing.ts"
import { encodeBase64url } from "../../src/encoding/base64.ts"
import { concat } from "../../src/encoding/bytes.ts"
import type { PhysicianId } from "../../src/encoding/ids.ts"
import type { EntryStatement, Member, Role } from "../../src/proof/entry.ts"
import { leafData, leafTag } from "../../src/proof/leaf.ts"
import type { Signer } from "../../src/vault/signer.ts"
import type { Attack, Deed, Scene } from "./attack.ts"
import type { RecordName, Username } from "./cast.ts"
import { memberOf, plantEntry, plantEpoch, plantInvitation, type Said, sorted, strangersKey } from "./forge.ts"
import { withhold } from "./order.ts"
import { entriesOf, rewriting, type WireAnswer, type WireEntry } from "./rewriting.ts"
import { home, type Step } from "./steps.ts"

/** Ben's roster is packed: what is new begins where it ends. */
const packed: Deed = {
  plant: async (scene) => {
    const { roster } = await scene.accomplice("ben")
    await roster.fold(true)
  },
}

const deeAdded: Deed = { plant: (scene) => addDee(scene, "ada") }

/** Who may do what: entries that are well made, truly signed and truly logged, by somebody who may not, or that say what must not be. */
export const members: readonly Attack[] = [
  by("dee", "somebody who is no member writes", () => ({ kind: "write" })),
  by("gus", "somebody who was removed writes", () => ({ kind: "write" })),
  by("cyd", "a reader writes", () => ({ kind: "write" })),
  by("cyd", "a reader removes a member", ({ list, ids }) => without(list, ids.ben)),
  by("ben", "a writer removes a member", ({ list, ids }) => without(list, ids.cyd), home("shared", { who: "ada" })),
  by(
    "ben",
    "a writer makes themself an owner",
    ({ list, ids }) => as(list, ids.ben, "owner"),
    home("shared", { who: "ada" }),
  ),
  by("cyd", "a reader makes themself a writer", ({ list, ids }) => as(list, ids.cyd, "writer")),
  by("ada", "the last owner leaves", ({ list, ids }) => without(list, ids.ada)),
  by("ada", "an owner removes somebody and keeps the key", ({ list, ids }) => without(list, ids.cyd)),
  by("ada", "an owner adds somebody without a grant", ({ list, dee }) => ({
    kind: "members",
    members: sorted([...list, dee]),
  })),
  by("ada", "an owner lists a member twice", ({ list }) => ({ kind: "members", members: [...list, list.at(-1)!] })),
  by("ada", "an owner opens the record once more", ({ list }) => ({ kind: "open", members: [...list] })),
  {
    name: "a writer adds somebody under a new epoch",
    code: "TAMPERED_CHAIN",
    step: home("shared", { who: "ada" }),
    plant: async (scene) => {
      const ben = await scene.accomplice("ben")
      const dee = await memberOf(ben, "dee", "reader")
      await plantEpoch(scene, ben, "shared", { members: (before) => sorted([...before, dee]) })
    },
    honest: { plant: async (scene) => plantEpoch(scene, await scene.accomplice("ben"), "shared") },
  },
  {
    name: "somebody who is no member adds themself and another, with true grants",
    code: "TAMPERED_CHAIN",
    step: home("shared"),
    plant: (scene) => addDee(scene, "gus"),
    honest: deeAdded,
  },
  {
    name: "a reader adds somebody, with a true grant",
    code: "TAMPERED_CHAIN",
    step: home("shared"),
    plant: (scene) => addDee(scene, "cyd"),
    honest: deeAdded,
  },
  {
    name: "somebody writes under the old key after a member has left",
    code: "TAMPERED_CHAIN",
    step: home("shared"),
    plant: async (scene) => {
      const cyd = await scene.accomplice("cyd")
      await leaveBehind(scene, cyd.session.physician, cyd.session.signer)
      const ada = await scene.accomplice("ada")
      const { keys } = await ada.records.open(scene.cast.records.shared)
      await plantEntry(scene, "shared", { author: scene.cast.ids.ada }, { signer: ada.session.signer, key: keys[1]! })
    },
    honest: {
      plant: async (scene) => {
        const cyd = await scene.accomplice("cyd")
        await leaveBehind(scene, cyd.session.physician, cyd.session.signer)
      },
    },
  },
  {
    name: "a removal in the owner's name is forged",
    code: "TAMPERED_SIGNATURE",
    step: home("shared"),
    plant: async (scene) => {
      const ada = await scene.accomplice("ada")
      await plantEpoch(scene, ada, "shared", {
        signer: await strangersKey(),
        members: (before) => before.filter(({ physician }) => physician !== scene.cast.ids.ben),
      })
    },
  },
  {
    name: "that I left is forged",
    code: "TAMPERED_SIGNATURE",
    step: home("shared"),
    plant: async (scene) => leaveBehind(scene, scene.cast.ids.ben, await strangersKey()),
  },
  {
    name: "a list names me with keys that are not mine",
    code: "TAMPERED_IDENTITY",
    step: home("shared"),
    plant: async (scene) => {
      const ada = await scene.accomplice("ada")
      const cyd = await memberOf(ada, "cyd", "reader")
      await plantEpoch(scene, ada, "shared", {
        members: (before) =>
          before.map((one) => (one.physician === scene.cast.ids.ben ? { ...one, fingerprint: cyd.fingerprint } : one)),
      })
    },
    honest: { plant: raise },
  },
  {
    name: "two members are shown two members entries with one seq, of which the log holds one",
    code: "TAMPERED_LOG",
    step: home("shared"),
    plant: raise,
    honest: { plant: raise },
    between: (scene) => {
      const other = raisedElsewhere(scene)
      const [leaf] = scene.world.sql<{ leaf: number }>(
        "select leaf from entry where record = ? and seq = 8",
        scene.cast.records.shared,
      )
      return rewriting(/^\/api\/(changes\?|records\/[^/]+\/entries)/, async (answer) => {
        for (const one of entriesOf(answer)) if (one.leaf.index === leaf!.leaf) Object.assign(one, await other)
      })()
    },
  },
  {
    name: "two members entries with one seq stand in the log",
    code: "TAMPERED_LOG",
    step: home("shared"),
    plant: async (scene) => {
      await plantEpoch(scene, await scene.accomplice("ada"), "shared")
      await logAgain(scene, "shared", 8)
    },
    honest: { plant: raise },
  },
  {
    name: "an old entry has a second leaf in the log, and comes with it once more",
    code: "TAMPERED_LOG",
    step: home("shared"),
    honest: packed,
    plant: async (scene) => {
      await packed.plant?.(scene)
      await logAgain(scene, "shared", 3, leafData(await secondLeaf(scene)))
    },
    between: (scene) => {
      const second = secondLeaf(scene)
      return rewriting<WireAnswer & { next: number }>(/^\/api\/changes\?since=(\d{1,9})&/, async (answer) => {
        const { time, salt, statement, signature, index } = await second
        const leaf = { index, time, salt: encodeBase64url(salt) }
        const record = scene.cast.records.shared
        if (answer.leaves!.data === "" || answer.next <= index) return
        answer.entries = [...entriesOf(answer), { record, statement, signature, leaf }].sort(
          (a, b) => a.leaf.index - b.leaf.index,
        )
      })()
    },
  },
  {
    name: "that somebody was removed is withheld",
    code: "TAMPERED_ROLLBACK",
    step: home("shared"),
    plant: removeCyd,
    honest: { plant: removeCyd },
    between: (scene) => withhold(scene, "shared", 8),
  },
]

interface Standing {
  readonly list: readonly Member[]
  readonly ids: Scene["cast"]["ids"]
  readonly dee: Member
}

/** Somebody signs what they may not, or what nobody may, and the server takes it.
 * @param say the entry, or the list that a `members` entry of the same epoch has */
function by(
  who: Username,
  name: string,
  say: (standing: Standing) => Partial<EntryStatement> | Member[],
  step: Step = home("shared"),
): Attack {
  const plant: Deed["plant"] = async (scene) => {
    const { cast, world } = scene
    const work = await scene.accomplice(who)
    const { members: list } = (await world.store.chainHead(cast.records.shared))!
    const said = say({ list, ids: cast.ids, dee: await memberOf(work, "dee", "reader") })
    const entry: Partial<EntryStatement> = Array.isArray(said) ? { kind: "members", members: said } : said
    const whole: Said = { author: cast.ids[who], ...entry }
    await plantEntry(scene, "shared", whole, { signer: work.session.signer })
  }
  return { name, code: "TAMPERED_CHAIN", step, plant }
}

function without(list: readonly Member[], whom: PhysicianId): Member[] {
  return list.filter(({ physician }) => physician !== whom)
}

function as(list: readonly Member[], whom: PhysicianId, role: Role): Member[] {
  return list.map((member) => (member.physician === whom ? { ...member, role } : member))
}

/** An entry by which a member leaves. */
async function leaveBehind(scene: Scene, author: PhysicianId, signer: Signer): Promise<void> {
  const { members: list } = (await scene.world.store.chainHead(scene.cast.records.shared))!
  const say: Said = { author, kind: "members", members: without(list, author) }
  await plantEntry(scene, "shared", say, { signer })
}

/** Gives dee the true keys of `shared`. */
async function addDee(scene: Scene, granter: Username): Promise<void> {
  const holder = await scene.accomplice("ada")
  const work = granter === "ada" ? holder : await scene.accomplice(granter)
  await plantInvitation(scene, work, "shared", "dee", "reader", { holder })
}

async function raise(scene: Scene): Promise<void> {
  await plantEpoch(scene, await scene.accomplice("ada"), "shared")
}

async function removeCyd(scene: Scene): Promise<void> {
  await unshare(await scene.accomplice("ada"), scene.cast.records.shared, scene.cast.ids.cyd)
}

/** What ada signs as entry 8 of `shared` in another world: the same place, another key. */
async function raisedElsewhere(scene: Scene): Promise<Partial<WireEntry>> {
  const world = await scene.fork()
  await plantEpoch({ ...scene, world }, await scene.accomplice("ada", world), "shared")
  const [entry] = world.sql<Record<"statement" | "signature" | "summary" | "grant", Uint8Array>>(
    `select statement, signature, summary, token as grant from entry
     join sealed_grant using (record, seq) where record = ? and seq = 8 and recipient = ?`,
    scene.cast.records.shared,
    scene.cast.ids.ben,
  )
  return Object.fromEntries(Object.entries(entry!).map(([name, bytes]) => [name, encodeBase64url(bytes)]))
}

/** Another leaf for an entry that has one already. */
function logAgain(
  { cast, world }: Scene,
  name: RecordName,
  seq: number,
  data = concat(leafTag(cast.records[name], "entry", seq), new Uint8Array(32).fill(7)),
): Promise<void> {
  return world.rewriteLog((leaves) => [...leaves, data])
}

/** What a second leaf for ben's first entry in `shared` would say. It is the next after all that stands in the log without it. */
async function secondLeaf({ cast, world }: Scene) {
  const record = cast.records.shared
  const [entry] = world.sql<Record<"statement" | "signature", Uint8Array>>(
    "select statement, signature from entry where record = ? and seq = 3",
    record,
  )
  const [last] = world.sql<{ index: number }>(
    `select coalesce(max(idx), -1) + 1 as "index" from leaf where actor <> 'nobody'`,
  )
  const statement = new Uint8Array(entry!.statement)
  return {
    subject: record,
    stream: "entry",
    type: "entry",
    number: 3,
    time: 1_700_000_000_000,
    actor: cast.ids.ben,
    salt: new Uint8Array(16),
    statementHash: sha256(statement),
    statement: encodeBase64url(statement),
    signature: encodeBase64url(entry!.signature),
    index: last!.index,
  } as const
}
