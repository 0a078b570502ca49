#!/usr/bin/env node
// The sources run on the Node that the project installs for itself; the machine's own may be older.
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

const main = new URL("../src/cli/main.ts", import.meta.url)
const [major] = process.versions.node.split(".").map(Number)

if (major >= 24) {
  await import(main.href)
} else {
  const own = fileURLToPath(new URL("../node_modules/node/bin/node", import.meta.url))
  if (!existsSync(own)) {
    process.stderr.write(
      "healthcrypt needs Node 24. Run `npm ci` in its folder, which brings one along, and try again.\n",
    )
    process.exit(1)
  }
  // The channel tells the child when this process is gone, however it ended.
  const stdio = ["inherit", "inherit", "inherit", "ipc"]
  const child = spawn(own, [fileURLToPath(main), ...process.argv.slice(2)], { stdio })
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal))
  child.on("exit", (code, signal) => {
    if (signal) process.kill(process.pid, signal)
    else process.exit(code ?? 1)
  })
}
