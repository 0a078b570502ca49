import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"
import { verifyCosignature } from "../src/proof/cosignature.ts"
import { parseVkey } from "../src/proof/note.ts"
import { desk } from "./cli.ts"
import { bareEnv, bin, removeFolder, serve, tempFolder } from "./server.ts"

let folder: string
let witness: ChildProcess
beforeAll(async () => {
  folder = await tempFolder()
})
afterAll(async () => {
  witness?.kill("SIGKILL")
  await removeFolder(folder)
})

/** The real command. @returns its vkey and address */
function startWitness(log: string): Promise<readonly [vkey: string, url: string]> {
  witness = spawn(
    process.execPath,
    [bin, "log", "witness", "--port", "0", "--name", "witness.example/w1", "--log", log],
    {
      env: { ...bareEnv, HEALTHCRYPT_HOME: join(folder, "witness") },
    },
  )
  return new Promise((resolve, reject) => {
    let text = ""
    witness.stdout?.on("data", (chunk) => {
      text += chunk
      const [, vkey, url] = /^vkey (\S+)\nThe witness is ready at (\S+)$/m.exec(text) ?? []
      if (vkey !== undefined && url !== undefined) resolve([vkey, url])
    })
    witness.once("close", () => reject(new Error(text)))
  })
}

it("serve has its checkpoints cosigned by log witness, and a monitor that demands it is content", async () => {
  const first = await serve({ dataDir: join(folder, "data") })
  const { origin, logKey } = (await (await fetch(`${first.url}/api/practice`)).json()) as Record<string, string>
  const ada = desk(first.url, folder, "ada")
  await ada.register("Ada", "Byron")
  await first.stop()
  const [vkey, url] = await startWitness(`${origin}=${Buffer.from(logKey!, "base64url").toString("hex")}`)
  const args = ["--witness", `${vkey}=${url}`]
  const server = await serve({ dataDir: first.dataDir, port: first.port, args })
  const cosigned = async () => {
    const note = await (await fetch(`${server.url}/log/checkpoint`)).text()
    return (await verifyCosignature(parseVkey(vkey), note)) !== null
  }
  await expect.poll(cosigned, { timeout: 30_000 }).toBe(true)
  await ada.add({ firstName: "Uno", lastName: "Geheim", birthDate: "1938-02-27", diagnosis: "Podagra" })
  await expect.poll(cosigned, { timeout: 30_000 }).toBe(true)
  const key = Buffer.from(logKey!, "base64url").toString("hex")
  const monitor = ["log", "monitor", "--once", "--key", key, "--origin", origin!, "--witness", vkey]
  const outcome = await ada.run(monitor)
  expect(outcome.code, outcome.stderr).toBe(0)
  await server.stop()
}, 120_000)
