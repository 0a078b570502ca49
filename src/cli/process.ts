import type { Out } from "./out.ts"

/** Shows warnings of Node, but for its notices that node:sqlite and the ML-KEM of its WebCrypto are experimental. */
export function showWarnings(err: Out): void {
  process.removeAllListeners("warning")
  process.on("warning", ({ name, message }) => {
    const known = message.startsWith("SQLite ") || message.includes(" Web Crypto API ")
    if (name !== "ExperimentalWarning" || !known) err.line(`${name}: ${message}`)
  })
}

/** Shows what nobody has caught, which may quote anything, and ends this process as Node would. */
export function showFaults(err: Out): void {
  process.once("uncaughtException", async (error: unknown) => {
    // What goes wrong while it is shown is not shown as well.
    process.on("uncaughtException", () => process.exit(1))
    const stack = error instanceof Error ? (error.stack ?? String(error)) : String(error)
    await err.lines(["This is a fault of Healthcrypt:", ...stack.split("\n").map((line) => `  ${line.trim()}`)])
    process.exit(1)
  })
}

/** Where bin/healthcrypt.js started this process under a newer Node, a kill -9 of that one ends this one in the same way, so that
 * nothing goes on unseen. */
export function endWithParent(): void {
  if (process.channel === undefined) return
  process.on("disconnect", () => process.kill(process.pid, "SIGKILL"))
  process.channel.unref()
}

/** When a person or the system asks this process to end. Listens at once: a signal that comes early is not lost. */
export function nextSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => resolve())
  })
}
