import fs from "node:fs/promises"
import { syncBuiltinESMExports } from "node:module"
import { stderr, stdin } from "node:process"

/** Imported into a command that is to wait on its way: HOLD_BEFORE=link says "held" on standard error when it is about to link something, and
 * goes on once its standard input ends. */
const name = process.env.HOLD_BEFORE
if (name === "link" || name === "rename") {
  const original = fs[name]
  Object.assign(fs, {
    [name]: async (from: string, to: string) => {
      stderr.write("held\n")
      for await (const _ of stdin);
      return original(from, to)
    },
  })
  syncBuiltinESMExports()
}
