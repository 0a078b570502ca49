import { expect, it } from "vitest"
import { createPatient, savePatient } from "../src/client/edits.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import { limits } from "../src/encoding/limits.ts"
import { brady, give, meet, physicians } from "./colleagues.ts"
import { openPractice } from "./practice.ts"

const practice = await openPractice()

it("a patient whom a colleague made larger than a body may be is still edited", async () => {
  const [ada, mal] = (await physicians(practice, "ada", "mal")) as [Workspace, Workspace]
  await meet(ada, mal)
  const { id } = await createPatient(ada, brady)
  await give(ada, mal, id, "writer")
  const opened = await mal.records.open(id)
  const [key, text] = [...opened.chart.resources].find(([name]) => name.startsWith("Patient/"))!
  const extension = [{ url: "x", valueString: "x".repeat(limits.bodyBytes + 1) }]
  const change = [key, JSON.stringify({ ...JSON.parse(text), extension })] as const
  await mal.records.write(opened, { by: "Mal", changes: [change] }, true)
  await ada.roster.sync()
  const { head, chart } = await ada.records.open(id)
  const saved = await savePatient(ada, id, head.seq, { ...formOf(chart), firstName: "Brody" })
  expect(saved).toMatchObject({ saved: true })
  await ada.roster.sync()
  expect(formOf((await ada.records.open(id)).chart).firstName).toBe("Brody")
})
