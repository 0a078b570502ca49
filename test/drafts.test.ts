import { expect, it } from "vitest"
import { Drafts } from "../src/client/remembered.ts"
import { openPractice } from "./practice.ts"

const practice = await openPractice()

it("a draft that is dropped while it is being sealed is gone, and the last that was kept stays", async () => {
  const drafts = new Drafts(await practice.register("ada"))
  const keeping = drafts.keep("record/new", "Hypertension")
  await drafts.drop("record/new")
  await keeping
  expect(await drafts.find("record/new")).toBeNull()
  const long = "x".repeat(4_000_000)
  await Promise.all([drafts.keep("record/new", long), drafts.keep("record/new", "Gout")])
  expect(await drafts.find("record/new")).toBe("Gout")
})
