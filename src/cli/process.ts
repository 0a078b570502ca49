/** Keeps Node's own notices that node:sqlite and the ML-KEM of its WebCrypto are experimental off standard error. Every other warning
 * is shown as before. */
export function hideExperimentNotices(): void {
  const listeners = process.listeners("warning")
  process.removeAllListeners("warning")
  process.on("warning", (warning) => {
    const known = warning.message.startsWith("SQLite ") || warning.message.includes(" Web Crypto API ")
    if (warning.name === "ExperimentalWarning" && known) return
    for (const listener of listeners) listener(warning)
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
