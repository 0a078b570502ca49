import { ready, server } from "@serenity-kit/opaque"
import { beforeAll, describe, expect, it } from "vitest"
import { encodeBase64url } from "../encoding/base64.ts"
import type { PracticeId } from "../encoding/ids.ts"
import { startLogin, startRegistration } from "./opaque.ts"

/** Made once with @serenity-kit/opaque 1.1.0, and never again: an upgrade of the library that cannot read these would lock every
 * physician out. */
const frozen = {
  practice: "AAECAwQFBgcICQoLDA0ODw" as PracticeId,
  username: "ada.byron",
  password: "Blutdruck im Ruhezustand: prüfen",
  serverSetup:
    "2b1lWV4MwQLvbC04u0mU7Eq8N_3x8ZHofm4mrw4V92soE6aQ5wbmhRX6ynpFus1iKCubbbu9aFqyoOJ2f1dHL94QdZXkXIkvtsGxsJ0rwDk70AnDpma8chG4ViAGn-0Bvmo6JU1-064gofoNPtgreF4pp9hLuQLVisGX8Ulhkj4",
  serverKey: "vHXpwyQi_GAM0Pvh55nXdhdiQjX1f2MM0IIWmPId6xE",
  record:
    "NOhbS60eXt76j3L27l8G40rhtEHEAg9E3o-pTZQIDHlw_JZldoGzyTj_ovVam1B2vQlkITIF4M03BnlkLQ3n-hfoQKwjerrrISpSI9RDY9fWyJIeKnxjUuhOtWbx6bt_pPNSz4U-Z7yb3aaiPqIJhCHhjvlstGh2TYFTu7N7xvzWe0o4CQDWOgqIekfBLRvlgxcqYic0MO1JRc33vZAihSeChxgtgJ3RjI2urh0gWnI3QYTekDzf2uu3ZOCgExzv",
  exportKey: "VBJCvSUZ-IAdxHRG_7M-ucdMww-8PpRQnSkGnkQac3Zhbd5XxswyTqHPTBagu8CowcWSy2qornjMpKdVl-WXtA",
} as const

interface Change {
  readonly password?: string
  readonly username?: string
  readonly practice?: PracticeId
  readonly serverSetup?: string
  readonly record?: string | null
  /** What the client believes, where it differs from the server's. */
  readonly client?: { readonly username?: string; readonly practice?: PracticeId }
}

beforeAll(() => ready)

const identifiersOf = (username: string, practice: PracticeId) => ({
  client: username,
  server: `healthcrypt/v1|${practice}|ksf=1`,
})

/** A whole log-in against the frozen account. */
async function logIn(change: Change = {}) {
  const { username, practice, serverSetup } = { ...frozen, ...change }
  const identifiers = identifiersOf(username, practice)
  const login = await startLogin(change.password ?? frozen.password)
  const { loginResponse, serverLoginState } = server.startLogin({
    serverSetup,
    userIdentifier: username,
    registrationRecord: change.record === undefined ? frozen.record : change.record,
    startLoginRequest: login.request,
    identifiers,
  })
  const done = login.finish(loginResponse, { username, practice, ...change.client })
  const { sessionKey } = server.finishLogin({
    serverLoginState,
    finishLoginRequest: done.finishLoginRequest,
    identifiers,
  })
  return { ...done, sessionKey }
}

describe("an account that was made with an older version", () => {
  it("is still logged into, and gives the same export key", async () => {
    const done = await logIn()
    expect(encodeBase64url(done.exportKey)).toBe(frozen.exportKey)
    expect(done.serverKey).toBe(frozen.serverKey)
    expect(done.sessionKey).not.toBe("")
    expect(server.getPublicKey(frozen.serverSetup)).toBe(frozen.serverKey)
  })

  it("is logged into with the password in another Unicode form", async () => {
    expect(frozen.password.normalize("NFD")).not.toBe(frozen.password)
    const done = await logIn({ password: frozen.password.normalize("NFD") })
    expect(encodeBase64url(done.exportKey)).toBe(frozen.exportKey)
  })

  it.each<[string, Change]>([
    ["another password", { password: `${frozen.password} ` }],
    ["another username", { username: "ada" }],
    ["a client that means another username", { client: { username: "ben" } }],
    ["a client that means another practice", { client: { practice: "AAAAAAAAAAAAAAAAAAAAAA" as PracticeId } }],
    ["a server of another practice", { practice: "AAAAAAAAAAAAAAAAAAAAAA" as PracticeId }],
    ["no such account", { record: null }],
  ])("is refused with %s, always in the same words", async (_, change) => {
    await expect(logIn(change)).rejects.toMatchObject({ code: "NOT_ALLOWED_SIGN_IN" })
  })

  it("is refused by a server with other secrets", async () => {
    await expect(logIn({ serverSetup: server.createSetup() })).rejects.toMatchObject({ code: "NOT_ALLOWED_SIGN_IN" })
  })
})

describe("registration", () => {
  it("gives another record and another export key each time, and a log-in that finds the export key", async () => {
    const register = async () => {
      const registration = await startRegistration(frozen.password)
      const { registrationResponse } = server.createRegistrationResponse({
        serverSetup: frozen.serverSetup,
        userIdentifier: frozen.username,
        registrationRequest: registration.request,
      })
      return registration.finish(registrationResponse, frozen)
    }
    const [one, other] = [await register(), await register()]
    expect(one.exportKey).toHaveLength(64)
    expect(one.serverKey).toBe(frozen.serverKey)
    expect(encodeBase64url(one.exportKey)).not.toBe(encodeBase64url(other.exportKey))
    const done = await logIn({ record: one.registrationRecord })
    expect(done.exportKey).toEqual(one.exportKey)
  })

  it("answers for an unknown username like for a known one", async () => {
    const start = async (registrationRecord: string | null) => {
      const login = await startLogin(frozen.password)
      return server.startLogin({
        serverSetup: frozen.serverSetup,
        userIdentifier: frozen.username,
        registrationRecord,
        startLoginRequest: login.request,
        identifiers: identifiersOf(frozen.username, frozen.practice),
      }).loginResponse
    }
    expect((await start(null)).length).toBe((await start(frozen.record)).length)
  })
})
