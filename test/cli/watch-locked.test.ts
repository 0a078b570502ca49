import { spawn } from "node:child_process"
import { join } from "node:path"
import { expect, it, vi } from "vitest"
import { createPatient } from "../../src/client/edits.ts"
import type { Workspace } from "../../src/client/workspace.ts"
import { brady, edit, give, meet, physicians, raiseFalsely } from "../colleagues.ts"
import { openPractice, password } from "../practice.ts"
import { bareEnv, bin } from "../server.ts"

const practice = await openPractice()

it("records watch goes on with the others when a colleague locks one, and ends with 3", async () => {
  const [ada, mal] = (await physicians(practice, "ada", "mal")) as [Workspace, Workspace]
  await meet(ada, mal)
  const { id } = await createPatient(ada, brady)
  const { id: other } = await createPatient(ada, brady)
  await give(ada, mal, id, "writer")
  await ada.roster.fold(true)
  const child = spawn(process.execPath, [bin, "records", "watch"], {
    env: {
      ...bareEnv,
      HEALTHCRYPT_SERVER: practice.server.url,
      HEALTHCRYPT_USERNAME: "ada",
      HEALTHCRYPT_PASSWORD: password,
      HEALTHCRYPT_HOME: join(practice.folder, "devices", "watching"),
    },
  })
  const said = { out: "", err: "" }
  child.stdout.on("data", (chunk) => (said.out += chunk))
  child.stderr.on("data", (chunk) => (said.err += chunk))
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
  const until = (which: keyof typeof said, text: string) =>
    vi.waitFor(() => expect(said[which]).toContain(text), { timeout: 60_000 })
  await until("err", "Watching")
  await raiseFalsely(mal, id)
  await until("err", `${id}: TAMPERED`)
  await edit(ada, other, "Asthma")
  await until("out", "Hypertension → Asthma")
  child.kill("SIGINT")
  expect(await ended).toBe(3)
}, 180_000)
