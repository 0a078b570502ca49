import { leave } from "../../src/client/sharing.ts"
import { encodeBase64url, parseBase64url } from "../../src/encoding/base64.ts"
import { newId, type PhysicianId, type SessionId } from "../../src/encoding/ids.ts"
import { type IdentityStatement, parseIdentity } from "../../src/proof/identity.ts"
import { physicianPath, usernamePath } from "../../src/protocol/paths.ts"
import type { Attack, Scene } from "./attack.ts"
import { strangersKey } from "./forge.ts"
import {
  changeKeys,
  cutIdentity,
  freshKeys,
  nextIdentity,
  pathOf,
  plantFirstIdentity,
  plantIdentity,
  selfSigned,
  signIdentity,
  type WireIdentity,
} from "./people-forge.ts"
import { rewriting } from "./rewriting.ts"
import { find, home, record, share, signIn, write } from "./steps.ts"

/** ada knows gus by keys that she has compared. */
const withGus = share("other", "gus")

/** Somebody else's keys in the place of a colleague's. */
export const identities: readonly Attack[] = [
  {
    name: "a colleague's username belongs to a self-signed stranger",
    code: "TAMPERED_IDENTITY",
    step: withGus,
    plant: async ({ world, cast }) => {
      world.sql("update physician set username = 'gus-before' where id = ?", cast.ids.gus)
      const physician = newId<"physician">() as PhysicianId
      const token = new Uint8Array(105)
      const unsigned = { token, signed: { statement: token, signature: new Uint8Array(64) } }
      await world.store.register(
        {
          physician,
          username: "gus",
          opaqueRecord: "none",
          identity: await selfSigned(physician, "gus"),
          unlocks: [{ method: "password", generation: 0, token }],
          recoveryKey: new Uint8Array(32),
          profile: unsigned,
          keyring: unsigned,
        },
        { ...session, physician },
      )
    },
  },
  {
    name: "a colleague's id belongs to a self-signed stranger",
    code: "TAMPERED_IDENTITY",
    step: withGus,
    plant: async (scene) => plantFirstIdentity(scene, scene.cast.ids.gus, await selfSigned(scene.cast.ids.gus, "gus")),
  },
  {
    name: "a colleague's username is answered with another physician",
    code: "TAMPERED_IDENTITY",
    step: withGus,
    between: () => (request, send) =>
      send({ ...request, path: request.path.replace(usernamePath("gus"), usernamePath("dee")) }),
  },
  {
    name: "a colleague's id is answered with another physician",
    code: "TAMPERED_IDENTITY",
    step: record("shared"),
    between:
      ({ cast }) =>
      (request, send) =>
        send({ ...request, path: request.path.replace(physicianPath(cast.ids.ada), physicianPath(cast.ids.dee)) }),
  },
  {
    name: "a colleague's keys are older ones of theirs than those that were compared",
    code: "TAMPERED_IDENTITY",
    step: withGus,
    plant: changedAndCompared,
    between: (scene) => cutIdentity(scene, "gus", 1),
    honest: { plant: changedAndCompared },
  },
  {
    name: "a colleague's change of keys is withheld",
    code: "TAMPERED_ROLLBACK",
    step: withGus,
    plant: (scene) => changeKeys(scene, "gus"),
    between: (scene) => cutIdentity(scene, "gus", 1),
  },
  {
    name: "a colleague's change of keys is withheld, after another identity that was not",
    code: "TAMPERED_ROLLBACK",
    step: withGus,
    plant: async (scene) => {
      await plantIdentity(scene, scene.cast.ids.gus, await renewal(scene))
      await (await scene.accomplice("ada")).roster.fold(true)
      await changeKeys(scene, "gus")
    },
    between: (scene) => cutIdentity(scene, "gus", 2),
    honest: {
      plant: async (scene) => {
        await plantIdentity(scene, scene.cast.ids.gus, await renewal(scene))
        await (await scene.accomplice("ada")).roster.fold(true)
      },
    },
  },
  {
    name: "a colleague's new keys are signed by somebody else's old one",
    code: "TAMPERED_IDENTITY",
    step: withGus,
    plant: async (scene) => {
      const { session } = await scene.accomplice("gus")
      const { signer, statement } = await freshKeys()
      const signed = await nextIdentity(session.identity, statement, signer, await strangersKey())
      await plantIdentity(scene, session.physician, signed)
    },
  },
  {
    name: "a colleague's identity goes on under another username",
    code: "TAMPERED_IDENTITY",
    step: withGus,
    plant: async (scene) => {
      const { session } = await scene.accomplice("gus")
      const signed = await nextIdentity(session.identity, { username: "gus-too" }, session.signer)
      await plantIdentity(scene, session.physician, signed)
    },
  },
  {
    name: "a colleague's identities begin in the middle",
    code: "TAMPERED_IDENTITY",
    step: find("ben", { who: "dee" }),
    between: ({ cast }) =>
      rewriting<WireIdentity>(pathOf(cast.ids.ben, "ben"), (answer) => {
        answer.identity.shift()
      })(),
  },
  {
    name: "a colleague's identity has another leaf's proof",
    code: "TAMPERED_LOG",
    step: find("cyd"),
    between: ({ cast }) =>
      rewriting<WireIdentity>(pathOf(cast.ids.cyd, "cyd"), (answer) => {
        answer.leaf.index--
      })(),
  },
  {
    name: "a colleague's keys have truly changed, and a record is to be given to them",
    code: "NOT_ALLOWED_CHANGED_KEY",
    says: /The keys of gus have changed since you verified them/,
    step: withGus,
    plant: (scene) => changeKeys(scene, "gus"),
  },
  {
    name: "a colleague's keys have truly changed, and a fresh epoch is to be sealed to them",
    code: "NOT_ALLOWED_CHANGED_KEY",
    says: /The keys of cyd have changed since you verified them/,
    // The patient is ada's, and stays in sight.
    step: { ...write("shared", { who: "ada" }), hidden: null },
    plant: async (scene) => {
      await leave(await scene.accomplice("ben"), scene.cast.records.shared)
      await changeKeys(scene, "cyd")
    },
  },
  {
    name: "one's own identity is another's",
    code: "TAMPERED_IDENTITY",
    step: signIn("ben", "fresh"),
    between: rewriting<WireIdentity>(/^\/api\/login\/finish$/, async (answer) => {
      const { prev: _, ...said } = parseIdentity(parseBase64url(answer.identity.at(-1)!.statement))
      answer.identity = [await wire(said)]
    }),
  },
  {
    name: "one's own identity is older than this device has seen",
    code: "TAMPERED_ROLLBACK",
    step: signIn("ben", "same"),
    plant: ({ world, cast }) => {
      world.sql("delete from identity where physician = ? and seq = 1", cast.ids.ben)
    },
  },
  {
    name: "one's own identity is older than another device has seen",
    code: "TAMPERED_ROLLBACK",
    step: signIn("ben", "fresh"),
    plant: async ({ world, cast, accomplice }) => {
      await (await accomplice("ben")).session.updateKeyring((keyring) => keyring)
      world.sql("delete from identity where physician = ? and seq = 1", cast.ids.ben)
    },
  },
  {
    name: "one's own identity is older than the log's",
    code: "TAMPERED_ROLLBACK",
    step: home("own", { device: "fresh" }),
    plant: ({ world, cast }) => {
      world.sql("delete from identity where physician = ? and seq = 1", cast.ids.ben)
    },
  },
]

/** A session that nobody has. */
const session = {
  id: newId<"session">() as SessionId,
  tokenHash: "none",
  pageHash: null,
  half: null,
  carrier: "bearer",
  created: 0,
  expires: 0,
} as const

async function changedAndCompared(scene: Scene): Promise<void> {
  await changeKeys(scene, "gus")
  const { session: ada } = await scene.accomplice("ada")
  const { safetyNumber } = ada.people.view(await ada.people.find("gus"))
  await ada.people.verify("gus", safetyNumber, "digits")
}

/** As after a change of password: the same keys. */
async function renewal(scene: Scene) {
  const { session: gus } = await scene.accomplice("gus")
  return nextIdentity(gus.identity, {}, gus.signer)
}

/** The same statement under a key of the server's own. */
async function wire(said: Omit<IdentityStatement, "prev">): Promise<{ statement: string; signature: string }> {
  const { signer, statement: keys } = await freshKeys()
  const signed = await signIdentity({ ...said, seq: 0, signKey: keys.signKey }, signer)
  return { statement: encodeBase64url(signed.statement), signature: encodeBase64url(signed.signature) }
}
