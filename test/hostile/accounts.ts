import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { client as opaqueClient, server as opaqueServer } from "@serenity-kit/opaque"
import { changePassword } from "../../src/client/account.ts"
import { keyringItems, signAccount } from "../../src/client/account-statements.ts"
import { encodeBase64url } from "../../src/encoding/base64.ts"
import { parseUtf8, utf8 } from "../../src/encoding/bytes.ts"
import { newId, type PracticeId } from "../../src/encoding/ids.ts"
import { type Keyring, sealKeyring } from "../../src/vault/keyring.ts"
import type { Attack, Scene } from "./attack.ts"
import { password } from "./cast.ts"
import { strangersKey } from "./forge.ts"
import { feed, packed } from "./log-forge.ts"
import { rewriting } from "./rewriting.ts"
import { home, signIn } from "./steps.ts"

interface WirePractice {
  practice: string
  origin: string
  logKey: string
  opaqueKey: string
}

const practice = /^\/api\/practice$/
const fresh = signIn("ben", "fresh")

/** What only the physician can have made, or chosen, at another time or place. */
export const accounts: readonly Attack[] = [
  {
    name: "the keyring is older than this device has seen",
    code: "TAMPERED_ROLLBACK",
    step: signIn("ben", "same"),
    plant: (scene) => putKeyring(scene, () => 0),
  },
  {
    name: "the keyring is older than the log's, before a device that has seen none",
    code: "TAMPERED_ROLLBACK",
    step: home("own", { device: "fresh" }),
    plant: async ({ world, cast, accomplice }) => {
      const { ben } = cast.ids
      const [kept] = world.sql<Record<"number" | "token" | "statement" | "signature", Uint8Array>>(
        `select keyring_number as number, keyring as token, keyring_statement as statement,
          keyring_signature as signature from physician where id = ?`,
        ben,
      )
      await (await accomplice("ben")).session.updateKeyring((keyring) => keyring)
      const { number, token, statement, signature } = kept!
      world.sql(
        `update physician set keyring_number = ?, keyring = ?, keyring_statement = ?, keyring_signature = ?
          where id = ?`,
        number,
        token,
        statement,
        signature,
        ben,
      )
    },
  },
  {
    name: "the keyring is one that the log does not have under its number",
    code: "TAMPERED_LOG",
    step: home("own", { device: "fresh" }),
    plant: (scene) =>
      putKeyring(
        scene,
        (newest) => newest,
        (keyring) => ({ ...keyring, settings: { ...keyring.settings, idleMinutes: 1 } }),
      ),
  },
  {
    name: "the newest keyring is damaged, and a genuine older one is there",
    code: "CANNOT_OPEN",
    step: fresh,
    plant: ({ world, cast }) => {
      world.sql("update physician set keyring = zeroblob(length(keyring)) where id = ?", cast.ids.ben)
    },
  },
  {
    name: "the keyring's statement is signed by a stranger",
    code: "TAMPERED_SIGNATURE",
    step: fresh,
    plant: async ({ world, cast }) => {
      const [row] = world.sql<{ statement: Uint8Array }>(
        "select keyring_statement as statement from physician where id = ?",
        cast.ids.ben,
      )
      const { sign } = await strangersKey()
      const signature = await sign("account", new Uint8Array(row!.statement))
      world.sql("update physician set keyring_signature = ? where id = ?", signature, cast.ids.ben)
    },
  },
  {
    name: "the keyring's statement is left out",
    code: "TAMPERED_LOG",
    step: home("own", { device: "fresh" }),
    plant: ({ world, cast }) => {
      world.sql(
        "update physician set keyring_statement = null, keyring_statement_sha256 = null, keyring_signature = null where id = ?",
        cast.ids.ben,
      )
    },
  },
  {
    name: "the roster is lost, and what is new lacks one of its records",
    code: "TAMPERED_ROLLBACK",
    says: /The server keeps back records/,
    step: home("own", { device: "fresh" }),
    plant: packed,
    between: ({ cast }) => {
      const feeding = rewriting(feed, (answer) => {
        answer.entries = answer.entries!.filter((entry) => entry.record !== cast.records.own)
      })()
      return async (request, send) =>
        request.path === "/api/segments" ? { status: 200, body: new Uint8Array(0) } : feeding(request, send)
    },
    honest: { plant: packed },
  },
  {
    name: "the password's seal and OPAQUE record are those of an older password, which somebody types",
    code: "TAMPERED_IDENTITY",
    step: fresh,
    plant: async ({ world, cast, accomplice }) => {
      const { ben } = cast.ids
      const [before] = world.sql<{ opaque_record: Uint8Array; generation: number; token: Uint8Array }>(
        "select opaque_record, generation, token from physician join unlock on physician = id where id = ? and method = 'password'",
        ben,
      )
      await changePassword((await accomplice("ben")).session, password, "another long password")
      world.sql("update physician set opaque_record = ? where id = ?", before!.opaque_record, ben)
      world.sql(
        "update unlock set generation = ?, token = ? where physician = ? and method = 'password'",
        before!.generation,
        before!.token,
        ben,
      )
    },
  },
  {
    name: "the practice says that its OPAQUE key is another",
    code: "TAMPERED_PRACTICE",
    step: fresh,
    between: rewriting<WirePractice>(practice, (answer) => {
      answer.opaqueKey = opaqueServer.getPublicKey(opaqueServer.createSetup())
    }),
  },
  {
    name: "OPAQUE is answered under another key, of which the practice says that it is its own",
    code: "NOT_ALLOWED_SIGN_IN",
    step: fresh,
    between: (scene) => {
      const setup = opaqueServer.createSetup()
      return (request, send) =>
        rewriting<WirePractice & { loginResponse: string }>(/^\/api\/(practice|login\/start)$/, (answer) => {
          if (request.path === "/api/practice") answer.opaqueKey = opaqueServer.getPublicKey(setup)
          else answer.loginResponse = anotherAnswer(scene, setup, parseUtf8(request.body!))
        })()(request, send)
    },
  },
  {
    name: "the practice says that its log key is another",
    code: "TAMPERED_PRACTICE",
    step: home("own", { device: "fresh" }),
    between: () => {
      const stranger = strangersKey()
      return rewriting<WirePractice>(practice, async (answer) => {
        answer.logKey = encodeBase64url((await stranger).publicKey)
      })()
    },
  },
  {
    name: "the practice says that its log has another origin",
    code: "TAMPERED_PRACTICE",
    step: fresh,
    between: rewriting<WirePractice>(practice, (answer) => {
      answer.origin = `healthcrypt/${newId<"practice">()}`
    }),
  },
  {
    name: "the practice is another",
    code: "NOT_ALLOWED_SIGN_IN",
    step: fresh,
    between: () => {
      const other = newId<"practice">()
      return rewriting<WirePractice>(practice, (answer) => {
        answer.practice = other
        answer.origin = `healthcrypt/${other}`
      })()
    },
  },
  {
    name: "the password's record was made with weaker stretching",
    code: "NOT_ALLOWED_SIGN_IN",
    step: fresh,
    plant: (scene) => putRecord(scene, { ...stretching, memory: 8192, iterations: 1 }, 1),
  },
  {
    name: "the password's record was made for a server that says it stretches less",
    code: "NOT_ALLOWED_SIGN_IN",
    step: fresh,
    plant: (scene) => putRecord(scene, stretching, 0),
  },
]

/** Puts a keyring in the place of the newest, as only the physician can seal and sign it. @param which number it gets */
async function putKeyring(
  { world, cast, accomplice }: Scene,
  which: (newest: number) => number,
  change: (keyring: Keyring) => Keyring = (keyring) => keyring,
): Promise<void> {
  const { session } = await accomplice("ben")
  const number = which(session.keyringNumber)
  const changed = change(session.keyring)
  const token = await sealKeyring(session.key, session.physician, number, changed)
  const prev = number === 0 ? undefined : new Uint8Array(32)
  const items = keyringItems(session.physician, number, prev, token, changed)
  const { statement, signature } = await signAccount(session, "keyring", items)
  world.sql(
    "update physician set keyring_number = ?, keyring = ?, keyring_statement = ?, keyring_signature = ? where id = ?",
    number,
    token,
    statement,
    signature,
    cast.ids.ben,
  )
}

/** Design 10: 64 MiB, three passes, four lanes. */
export const stretching = { memory: 65_536, iterations: 3, parallelism: 4 }

/** Registers ben's password once more, as somebody could who knows it.
 * @param ksf what stands in the server's identifier */
export async function putRecord(
  { world, cast }: Pick<Scene, "world" | "cast">,
  argon2id: typeof stretching,
  ksf: number,
): Promise<void> {
  const { clientRegistrationState, registrationRequest } = opaqueClient.startRegistration({ password })
  const serverSetup = (await readFile(join(world.folder, "secrets/opaque-setup"), "utf8")).split("\n")[1]!
  const asked = { serverSetup, userIdentifier: "ben", registrationRequest }
  const { registrationRecord } = opaqueClient.finishRegistration({
    password,
    clientRegistrationState,
    registrationResponse: opaqueServer.createRegistrationResponse(asked).registrationResponse,
    identifiers: identifiers(world.store.practice, ksf),
    keyStretching: { "argon2id-custom": argon2id },
  })
  world.sql("update physician set opaque_record = ? where id = ?", utf8(registrationRecord), cast.ids.ben)
}

/** What an OPAQUE server with another setup answers to ben. @param body of the request */
function anotherAnswer({ world, cast }: Scene, serverSetup: string, body: string): string {
  const [row] = world.sql<{ opaque_record: Uint8Array }>(
    "select opaque_record from physician where id = ?",
    cast.ids.ben,
  )
  const { startLoginRequest } = JSON.parse(body)
  return opaqueServer.startLogin({
    serverSetup,
    userIdentifier: "ben",
    registrationRecord: parseUtf8(new Uint8Array(row!.opaque_record)),
    startLoginRequest,
    identifiers: identifiers(world.store.practice, 1),
  }).loginResponse
}

function identifiers(of: PracticeId, ksf: number) {
  return { client: "ben", server: `healthcrypt/v1|${of}|ksf=${ksf}` }
}
