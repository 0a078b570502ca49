import { join } from "node:path"
import { expect, it } from "vitest"
import { Desk } from "./cli.ts"
import { runModestly } from "./measured.ts"
import { openPractice, password } from "./practice.ts"
import { worstRecord } from "./worst-record.ts"

const practice = await openPractice()

it("a record in which three wrote as much as they may, in the worst shapes, opens within a gibibyte and shows what is honest", async () => {
  const { id } = await worstRecord(practice, [
    ["long", "long", "long", "long"],
    ["nodes", "names"],
    ["many", "many", "plain"],
  ])
  const home = join(practice.folder, "devices", "ada")
  const desk = new Desk({ server: practice.server.url, username: "ada", password, home })
  const view = JSON.parse((await runModestly(desk, ["records", "show", id, "--json"])).stdout)
  expect([view.firstName, view.lastName, view.diagnosis]).toEqual(["Brady", "Kuhlman", "Gout"])
  expect(view.unreadable.map(({ author }: { author: string }) => author)).toContain("mal0")
  const history = (await runModestly(desk, ["records", "history", id])).stdout
  for (const diagnosis of ["Hypertension", "Asthma", "Gout"]) expect(history).toContain(diagnosis)
}, 600_000)
