import { describe, expect, it } from "vitest"
import type { Workspace } from "../src/client/workspace.ts"
import { meet, none, physicians, refused, suspicions } from "./colleagues.ts"
import { Hold } from "./hold.ts"
import { openPractice } from "./practice.ts"

const practice = await openPractice()

describe("a keyring", () => {
  it("takes in what two devices verified at once", async () => {
    const [ada] = (await physicians(practice, "ada14", "ben14", "cyd14")) as [Workspace]
    const second = await practice.open("ada14", "ada14's second")
    const numberOf = async (username: string) =>
      ada.session.people.view(await ada.session.people.find(username)).safetyNumber
    const [ben, cyd] = [await numberOf("ben14"), await numberOf("cyd14")]
    await Promise.all([
      ada.session.people.verify("ben14", ben, "digits"),
      second.session.people.verify("cyd14", cyd, "digits"),
    ])
    for (const work of [ada, second]) {
      await work.session.pullKeyring()
      expect(work.session.keyring.colleagues.map(({ username }) => username).sort()).toEqual(["ben14", "cyd14"])
      expect(await suspicions(work)).toEqual(none)
    }
  })

  it("that is saved while it is asked for is not one that was rolled back", async () => {
    await physicians(practice, "ada15")
    const asking = new Hold(({ method, path }) => method === "GET" && path === "/api/keyring")
    const ada = await practice.open("ada15", "ada15's second", asking.between)
    const reached = asking.next("answer")
    const pulled = ada.session.pullKeyring()
    await reached
    await ada.session.updateKeyring((keyring) => keyring)
    asking.release()
    expect(await pulled).toBe(1)
    expect(ada.session.keyringNumber).toBe(1)
    expect(await suspicions(ada)).toEqual(none)
  })

  it("is never sealed with more in it than opens again", async () => {
    const [ada, ben] = (await physicians(practice, "ada16", "ben16")) as [Workspace, Workspace]
    await meet(ada, ben)
    const [pin] = ada.session.keyring.colleagues
    const crowd = Array.from({ length: 1001 }, () => pin!)
    await expect(ada.session.updateKeyring((keyring) => ({ ...keyring, colleagues: crowd }))).rejects.toEqual(
      refused("BAD_INPUT_SIZE"),
    )
    expect((await practice.open("ada16", "ada16's second")).session.keyring.colleagues).toHaveLength(1)
  })

  it("lets nobody else come under the name of a colleague who was verified", async () => {
    const [ada, ben, cyd] = (await physicians(practice, "ada17", "ben17", "cyd17")) as [Workspace, Workspace, Workspace]
    await meet(ada, ben)
    // As if the server had first told that Ben is called what Cyd is called.
    await ada.session.updateKeyring((keyring) => ({
      ...keyring,
      colleagues: keyring.colleagues.map((one) => ({ ...one, username: "cyd17" })),
    }))
    await expect(ada.session.people.refresh(cyd.session.physician)).rejects.toEqual(refused("TAMPERED_IDENTITY"))
  })
})
