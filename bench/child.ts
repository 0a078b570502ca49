import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"

/** A process of its own that answers one question at a time. */
export interface Child<Ask, Answer> {
  ask(question: Ask): Promise<Answer>
  stop(): void
}

type Reply<Answer> = { readonly answer: Answer } | { readonly error: string }

/** Starts a file of this folder in a process of its own. */
export function startChild<Ask extends object, Answer>(file: URL): Child<Ask, Answer> {
  const child = fork(file, { stdio: ["ignore", "inherit", "inherit", "ipc"] })
  return {
    async ask(question) {
      child.send(question)
      const ended = new AbortController()
      const exited = once(child, "exit", { signal: ended.signal }).then(() => {
        throw new Error(`${file.pathname} ended without an answer`)
      })
      const answered = once(child, "message", { signal: ended.signal })
      exited.catch(() => {})
      const [reply] = (await Promise.race([answered, exited])) as [Reply<Answer>]
      answered.catch(() => {})
      ended.abort()
      if ("error" in reply) throw new Error(reply.error)
      return reply.answer
    },
    stop: () => void child.disconnect(),
  }
}

/** The other end: answers until the parent lets go. */
export function answerParent<Ask, Answer>(answer: (question: Ask) => Promise<Answer>): void {
  process.on("message", (question) => {
    answer(question as Ask).then(
      (value) => process.send?.({ answer: value }),
      (error: unknown) =>
        process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    )
  })
  process.on("disconnect", () => process.exit(0))
}

/** Stops a server: politely, then not. */
export async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, "exit")
  child.kill("SIGTERM")
  const force = setTimeout(() => child.kill("SIGKILL"), 5000)
  await exited
  clearTimeout(force)
}
