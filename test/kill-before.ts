import fs from "node:fs/promises"
import { syncBuiltinESMExports } from "node:module"

/** Imported into a command that is to end as if the power had failed: KILL_BEFORE=rename:3 ends it with SIGKILL when it is about to rename
 * something for the third time. KILL_BEFORE=rename:0 ends nothing. */
const [name = "", count = "0"] = (process.env.KILL_BEFORE ?? "").split(":")
if (name === "rename" || name === "open" || name === "link" || name === "copyFile") {
  const original = fs[name] as (...args: unknown[]) => Promise<unknown>
  let calls = 0
  Object.assign(fs, {
    [name]: async (...args: unknown[]) => {
      if (++calls === Number(count)) process.kill(process.pid, "SIGKILL")
      return original(...args)
    },
  })
  syncBuiltinESMExports()
}
