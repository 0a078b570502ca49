import { expect, it } from "vitest"
import { renewWords } from "../src/client/account.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { meet, none, physicians, suspicions } from "./colleagues.ts"
import { openPractice, password } from "./practice.ts"

const practice = await openPractice()

it("asks once for a colleague's identities, however many leaves speak of new ones", async () => {
  const [ada, ben] = (await physicians(practice, "ada1", "ben1")) as [Workspace, Workspace]
  await meet(ada, ben)
  const asked: string[] = []
  const watching = await practice.open("ada1", "ada1's second", (request, send) => {
    asked.push(request.path.split("?")[0]!)
    return send(request)
  })
  expect(await suspicions(watching)).toEqual(none)
  asked.length = 0
  for (let i = 0; i < 3; i++) await renewWords(ben.session, password)
  expect(await suspicions(watching)).toEqual(none)
  expect(asked.filter((path) => path === `/api/physicians/${ben.session.physician}`)).toHaveLength(1)
})
