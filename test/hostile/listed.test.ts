import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { accounts } from "./accounts.ts"
import type { Attack } from "./attack.ts"
import { grants } from "./grants.ts"
import { identities } from "./identities.ts"
import { log } from "./log.ts"
import { members } from "./members.ts"
import { order } from "./order.ts"
import { restored } from "./restored.ts"
import { statements } from "./statements.ts"
import { tokens } from "./tokens.ts"

/** By the test file that plays them. */
const played: Readonly<Record<string, readonly Attack[]>> = {
  tokens: [...tokens, ...order],
  statements: [...statements, ...members],
  grants,
  identities,
  accounts,
  log,
  restored,
}

describe("docs/threat-model.md", () => {
  it("lists every attack with what the client says and the test, and no other", async () => {
    const page = await readFile(join(import.meta.dirname, "../../docs/threat-model.md"), "utf8")
    const row = /^\| (.+?) +\| `([A-Z_]+)` +\| \[[a-z -]+\]\(\.\.\/test\/hostile\/([a-z-]+)\.test\.ts\) +\|$/gm
    const listed = [...page.matchAll(row)]
    for (const [file, attacks] of Object.entries(played)) {
      const rows = listed.filter(([, , , from]) => from === file).map(([, name, code]) => [name, code])
      expect(rows, file).toEqual(attacks.map(({ name, code }) => [name, code]))
    }
    for (const [, name, , file] of listed) {
      if (file! in played) continue
      expect(await readFile(join(import.meta.dirname, `${file}.test.ts`), "utf8"), name).toContain(`"${name}"`)
    }
  })
})
