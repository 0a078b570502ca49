import { expect, test } from "vitest"
import { whatWentBack } from "../src/client/after-restore.ts"
import { createPatient } from "../src/client/edits.ts"
import { sendAgain } from "../src/client/send-again.ts"
import { brady, edit } from "./colleagues.ts"
import { randomOf } from "./random.ts"
import { Restoring } from "./restoring.ts"

const devices = ["desk", "laptop", "tablet"] as const
const steps = 16

/** Three devices of a physician work, are away, come back and are given the newest code, while the server is backed up and put back, to its
 * newest backup or to an older one. Nobody does wrong, so no device is ever refused. */
test.each([1, 3, 7])("no device is kept out by an honest history, seed %i", { timeout: 240_000 }, async (seed) => {
  const random = randomOf(seed * 104_729)
  const oneOf = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)]!
  const practice = await Restoring.start()
  const history: string[] = []
  try {
    await practice.register("ada")
    const ada = await practice.open("ada", devices[0])
    const { id } = await createPatient(ada, brady)
    await practice.putAway(ada)
    const backups: string[] = []
    const backUp = async () => {
      backups.push(`backup ${backups.length}`)
      await practice.backUp(backups.at(-1)!, true)
      history.push(backups.at(-1)!)
    }
    let code = ""
    const restore = async (backup: string) => {
      history.push(`put back ${backup}`)
      code = (await practice.restore(backup)).code
    }
    const visit = async (device: string) => {
      history.push(device)
      const work = await practice.openAnyway("ada", device)
      await whatWentBack(work)
      if (work.session.restoration?.confirmed === false) await work.session.confirmRestore(code)
      await sendAgain(work)
      await work.roster.syncAfresh()
      if (random() < 0.5) await edit(work, id, `Entry ${history.length}`)
      if (random() < 0.3) await work.session.updateKeyring((keyring) => keyring)
      expect([...work.roster.refused, work.session.log.refusal], history.join(", ")).toEqual([null])
      await practice.putAway(work)
    }
    await backUp()
    for (let step = 0; step < steps; step++) {
      const what = random()
      if (what < 0.62) await visit(oneOf(devices))
      else if (what < 0.8) await backUp()
      else await restore(random() < 0.6 ? backups.at(-1)! : oneOf(backups))
    }
  } catch (cause) {
    throw new Error(`after: ${history.join(", ")}`, { cause })
  } finally {
    await practice.close()
  }
})
