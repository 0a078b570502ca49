import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { connect } from "../../src/cli/http.ts"
import { fileStorage } from "../../src/cli/storage.ts"
import { register } from "../../src/client/account.ts"
import { type HttpRequest, type Send, Transport } from "../../src/client/transport.ts"
import { encodeBase64url } from "../../src/encoding/base64.ts"
import { utf8 } from "../../src/encoding/bytes.ts"
import { newId } from "../../src/encoding/ids.ts"
import { parseInvite } from "../../src/protocol/invite.ts"
import { paths } from "../../src/protocol/paths.ts"
import { dataFolder } from "../../src/server/data-folder.ts"
import { type RunningServer, startServer } from "../../src/server/main.ts"
import { askOperator } from "../../src/server/operator-socket.ts"

/** Somebody has an invitation, and reaches a server that lies about who it is. */
let folder: string
let server: RunningServer
let connection: ReturnType<typeof connect>
let number = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-sign-up-"))
  server = await startServer({
    dataDir: join(folder, "data"),
    host: "127.0.0.1",
    port: 0,
    transit: { kind: "plain" },
    registration: "invited",
    webRoot: null,
    logLevel: "error",
    notice: () => {},
    now: Date.now,
  })
  connection = connect(server.url, undefined)
})
afterAll(async () => {
  connection.close()
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

type Practice = Record<string, unknown>

/** Signs up with a fresh invitation at a server that changes what it says of itself. @returns the paths that were asked, and the bodies */
async function signUp(lie: (practice: Practice) => Practice, code?: (given: string) => string) {
  const { code: given } = await askOperator(dataFolder(join(folder, "data")), { do: "invite", days: 1 })
  const sent: HttpRequest[] = []
  const send: Send = async (request) => {
    sent.push(request)
    const answer = await connection.send(request)
    if (request.path !== paths.practice) return answer
    return { ...answer, body: utf8(JSON.stringify(lie(JSON.parse(new TextDecoder().decode(answer.body))))) }
  }
  const storage = fileStorage(join(folder, `home-${number}`))
  const around = { transport: new Transport(send), storage, carrier: "bearer", now: Date.now } as const
  const names = { firstName: "Ada", lastName: "Byron", password: "correct horse battery" }
  const invite = code === undefined ? given : code(given)
  const made = register(around, { ...names, username: `ada-${number++}`, invite })
  return { made, sent, secret: encodeBase64url(parseInvite(given).code) }
}

const refusal = (code: string) => expect.objectContaining({ code })

test.each<[string, (practice: Practice) => Practice]>([
  [
    "the server of an invitation shows another log key",
    (practice) => ({ ...practice, logKey: encodeBase64url(new Uint8Array(32).fill(9)) }),
  ],
  [
    "the server of an invitation is another practice",
    (practice) => {
      const another = newId<"practice">()
      return { ...practice, practice: another, origin: `healthcrypt/${another}` }
    },
  ],
  [
    "the server of an invitation takes everybody, and shows another log key",
    (practice) => ({ ...practice, registration: "open", logKey: encodeBase64url(new Uint8Array(32).fill(9)) }),
  ],
])("%s", async (_, lie) => {
  const { made, sent, secret } = await signUp(lie)
  await expect(made).rejects.toThrow(refusal("TAMPERED_PRACTICE"))
  // Neither the code nor anything of a password has left.
  expect(sent.map(({ path }) => path)).toEqual([paths.practice])
  expect(JSON.stringify(sent)).not.toContain(secret)
})

test("a server that says that nobody needs a code gets none, and lets nobody in", async () => {
  const { made, sent, secret } = await signUp((practice) => ({ ...practice, registration: "open" }))
  await expect(made).rejects.toThrow(refusal("NOT_ALLOWED_INVITATION"))
  for (const { body } of sent) expect(new TextDecoder().decode(body)).not.toContain(secret)
})

test("without a lie the same steps make an account, once", async () => {
  const first = await signUp((practice) => practice)
  const { sheet } = await first.made
  expect(sheet.words).toHaveLength(24)
})
