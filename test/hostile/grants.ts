import { register } from "../../src/client/account.ts"
import { createPatient } from "../../src/client/edits.ts"
import { acceptInvitations } from "../../src/client/invitations.ts"
import { share, unshare } from "../../src/client/sharing.ts"
import { workspaceOf } from "../../src/client/workspace.ts"
import type { Role } from "../../src/proof/entry.ts"
import { newSecretKey, type RecordKey } from "../../src/vault/keys.ts"
import type { Attack, Deed, Scene } from "./attack.ts"
import { fieldsOf, many, meet, password } from "./cast.ts"
import { type GrantLie, grantOf, memberOf, plantEntry, plantEpoch, plantInvitation } from "./forge.ts"
import { entriesOf, rewriting } from "./rewriting.ts"
import { accept, home } from "./steps.ts"

/** Removes ben from `other`, which so has two epochs, and truly invites him again. */
const invitedAgain: Deed = { plant: (scene) => inviteAgain(scene) }
const invitedByAnOwner: Deed = { plant: (scene) => invitedByCyd(scene, "owner") }
const acceptedByBen: Deed = {
  plant: async (scene) => {
    await acceptInvitations(await scene.accomplice("ben"), [scene.cast.records.invited], many)
  },
}
const raisedByAda: Deed = { plant: async (scene) => plantEpoch(scene, await scene.accomplice("ada"), "shared") }
const deeVerified: Deed = {
  plant: async (scene) => meet(await scene.accomplice("ben"), await scene.accomplice("dee")),
}

/** Invitations and the keys in them. The granter of the first is ada, whom ben has verified, and who is in league with the server. */
export const grants: readonly Attack[] = [
  lie("is made for another record", ({ cast }) => ({ place: { record: cast.records.own } })),
  lie("is made for another entry", ({ before }) => ({ place: { seq: before + 2 } })),
  lie("is made for another role", () => ({ place: { role: "reader" } })),
  lie("is made for another member", ({ cast }) => ({ place: { recipient: cast.ids.cyd } })),
  lie("names another granter", ({ cast }) => ({ place: { granter: cast.ids.dee } })),
  lie("lacks the first epoch's key", () => ({ keys: (honest) => without(honest, 0) })),
  lie("lacks the newest epoch's key", () => ({ keys: (honest) => without(honest, 1) })),
  lie("holds a key of an epoch to come", () => ({
    keys: (honest) => new Map([...honest, [2, newSecretKey<"record">()]]),
  })),
  {
    ...lie("holds a key that the record never promised", () => ({ keys: (honest) => replaced(honest, 0) })),
    code: "TAMPERED_KEY",
  },
  {
    name: "a grant is another than the one that the owner signed, with the very same keys",
    code: "TAMPERED_GRANT",
    step: accept("other"),
    honest: invitedAgain,
    plant: async (scene) => {
      await inviteAgain(scene)
      const { cast, world } = scene
      const ada = await scene.accomplice("ada")
      const head = (await world.store.chainHead(cast.records.other))!
      const keys = new Map((await ada.records.open(cast.records.other)).keys.map((key, epoch) => [epoch, key!]))
      const member = await memberOf(ada, "ben", "writer")
      const { grant } = await grantOf(scene, ada, "other", member, { seq: head.seq }, keys)
      world.sql("update sealed_grant set token = ? where record = ? and seq = ?", grant, cast.records.other, head.seq)
    },
  },
  {
    name: "a true grant is signed by somebody who is no member",
    code: "TAMPERED_CHAIN",
    step: accept("other", "cyd"),
    honest: invitedByAnOwner,
    plant: (scene) => invitedByCyd(scene, null),
  },
  {
    name: "a true grant is signed by a reader",
    code: "TAMPERED_CHAIN",
    step: accept("other", "cyd"),
    honest: invitedByAnOwner,
    plant: (scene) => invitedByCyd(scene, "reader"),
  },
  {
    name: "an invitation comes without its grant",
    code: "CANNOT_OPEN",
    step: accept("invited"),
    between: rewriting(/\/entries\?/, (answer) => {
      for (const entry of entriesOf(answer)) delete entry.grant
    }),
  },
  {
    name: "two members are given different keys of a fresh epoch",
    code: "TAMPERED_KEY",
    step: home("shared"),
    honest: raisedByAda,
    plant: async (scene) =>
      plantEpoch(scene, await scene.accomplice("ada"), "shared", {
        keysFor: ({ physician }, honest) => (physician === scene.cast.ids.ben ? replaced(honest, 2) : honest),
      }),
  },
  {
    name: "the grant of a fresh epoch holds older keys too",
    code: "TAMPERED_GRANT",
    step: home("shared"),
    honest: raisedByAda,
    plant: async (scene) =>
      plantEpoch(scene, await scene.accomplice("ada"), "shared", {
        keysFor: (_, honest, held) => new Map([...held.entries(), ...honest]),
      }),
  },
  {
    name: "the grant of a fresh epoch holds an older key alone",
    code: "TAMPERED_GRANT",
    step: home("shared"),
    honest: raisedByAda,
    plant: async (scene) =>
      plantEpoch(scene, await scene.accomplice("ada"), "shared", {
        keysFor: (_, __, held) => new Map([[1, held[1]!]]),
      }),
  },
  {
    name: "a record to which one is invited passes for one that was accepted",
    code: "TAMPERED_GRANT",
    step: home("invited"),
    honest: acceptedByBen,
    plant: (scene) => passForAccepted(scene, "invited"),
  },
  {
    name: "a record to which one is invited passes for accepted, with a self-grant of another record",
    code: "CANNOT_OPEN",
    step: home("invited"),
    honest: acceptedByBen,
    plant: (scene) => {
      const { cast, world } = scene
      passForAccepted(scene, "invited")
      world.sql(
        `insert into self_grant select physician, ? as record, epoch, token, token_sha256, signed from self_grant
         where physician = ? and record = ?`,
        cast.records.invited,
        cast.ids.ben,
        cast.records.own,
      )
    },
  },
  {
    name: "a record to which one is invited passes for accepted, with what is no self-grant beside a later entry",
    code: "CANNOT_OPEN",
    step: home("invited"),
    honest: acceptedByBen,
    plant: async (scene) => {
      const { cast } = scene
      const { records, session } = await scene.accomplice("ada")
      const { keys } = await records.open(cast.records.invited)
      await plantEntry(scene, "invited", { author: cast.ids.ada }, { signer: session.signer, key: keys[0]! })
      passForAccepted(scene, "invited")
    },
    between: ({ cast }) =>
      rewriting(/^\/api\/changes/, (answer) => {
        const last = entriesOf(answer).findLast((entry) => entry.record === cast.records.invited)
        if (last) last.selfGrant = Buffer.alloc(140, 7).toString("base64url")
      })(),
  },
  {
    name: "a record that one was removed from passes for accepted again, with the self-grants of the first time",
    code: "TAMPERED_GRANT",
    step: home("other"),
    plant: async (scene) => {
      await inviteAgain(scene)
      passForAccepted(scene, "other")
    },
  },
  {
    name: "an invitation comes from somebody whom nobody has verified",
    code: "NOT_ALLOWED_UNVERIFIED",
    step: accept("strange", "dee"),
    says: /You have not verified dee yet|not yet: first `healthcrypt physicians verify dee`/,
    honest: deeVerified,
    plant: () => {},
  },
  {
    name: "an invitation comes from a stranger under a verified colleague's username",
    code: "TAMPERED_IDENTITY",
    step: accept("strange", "ada"),
    plant: invitedByAnImpostor,
    honest: {
      plant: async (scene) => {
        const ada = await scene.accomplice("ada")
        const { id } = await createPatient(ada, fieldsOf("strange", "Hypertension"))
        await share(ada, [id], "ben", "reader", null, many)
        scene.rename("strange", id)
        await acceptedByBen.plant?.(scene)
      },
    },
  },
]

interface Standing extends Pick<Scene, "cast"> {
  /** The record's seq before the invitation. */
  readonly before: number
}

/** Ada invites ben with a real entry, whose grant is not what it must be. */
function lie(what: string, tell: (standing: Standing) => GrantLie): Attack {
  return {
    name: `a grant ${what}`,
    code: "TAMPERED_GRANT",
    step: accept("other"),
    honest: invitedAgain,
    plant: (scene) => inviteAgain(scene, tell),
  }
}

async function inviteAgain(scene: Scene, tell: (standing: Standing) => GrantLie = () => ({})): Promise<void> {
  const { cast, world } = scene
  const ada = await scene.accomplice("ada")
  await unshare(ada, cast.records.other, cast.ids.ben)
  const { seq } = (await world.store.chainHead(cast.records.other))!
  await plantInvitation(scene, ada, "other", "ben", "writer", tell({ cast, before: seq }))
}

/** Cyd, whom ben has verified, gives him the true keys of `other`. @param role of cyd's in it */
async function invitedByCyd(scene: Scene, role: Role | null): Promise<void> {
  const { other } = scene.cast.records
  const [ada, cyd] = [await scene.accomplice("ada"), await scene.accomplice("cyd")]
  await unshare(ada, other, scene.cast.ids.ben)
  if (role !== null) {
    await share(ada, [other], "cyd", role, null, many)
    await acceptInvitations(cyd, [other], many)
  }
  await plantInvitation(scene, cyd, "other", "ben", "writer", { holder: ada })
}

/** The server says that ben has accepted what he has not. */
function passForAccepted({ cast, world }: Scene, name: "invited" | "other"): void {
  world.sql(
    "update member set accepted = (select head_leaf from record where id = record), removed = null where record = ? and physician = ?",
    cast.records[name],
    cast.ids.ben,
  )
}

/** Ada's account is put aside, and somebody else registers under her username, verifies ben and invites him. */
async function invitedByAnImpostor(scene: Scene): Promise<void> {
  const { cast, world } = scene
  await acceptedByBen.plant?.(scene)
  world.sql("update physician set username = 'ada.old' where id = ?", cast.ids.ada)
  const account = { username: "ada", firstName: "Ada", lastName: "Byron", password }
  const impostor = workspaceOf(await (await register(scene.newcomer(), account)).enter())
  await impostor.roster.sync()
  const { people } = impostor.session
  await people.verify("ben", people.view(await people.find("ben")).safetyNumber, "digits")
  const { id } = await createPatient(impostor, fieldsOf("strange", "Hypertension"))
  await share(impostor, [id], "ben", "reader", null, many)
  scene.rename("strange", id)
}

function without(keys: ReadonlyMap<number, RecordKey>, epoch: number): Map<number, RecordKey> {
  return new Map([...keys].filter(([one]) => one !== epoch))
}

function replaced(keys: ReadonlyMap<number, RecordKey>, epoch: number): Map<number, RecordKey> {
  return new Map([...keys].map(([one, key]) => [one, one === epoch ? newSecretKey<"record">() : key]))
}
