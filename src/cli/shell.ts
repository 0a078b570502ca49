import { createInterface } from "node:readline"
import { PassThrough } from "node:stream"
import { createContext, Script } from "node:vm"
import { AppError } from "../errors.ts"
import { findDataFolder } from "../server/data-folder.ts"
import { openSqlite } from "../server/store/connection.ts"
import { textOf, UsageError } from "./ask.ts"
import type { CliCommand, Io } from "./command.ts"
import { type Models, openModels } from "./shell-models.ts"
import { showValue } from "./shell-table.ts"

const greeting = [
  "Physician, Record, Entry, Member, Grant and Log each have all(), get(id), count() and where(…).",
  "Every call reads what is stored at that moment; nothing can be changed, and what is sealed stays sealed.",
]

/** Looks into a stopped or running server's database. */
export const shell: CliCommand = {
  name: "shell",
  summary: "Look into a server's database, where every content is a token",
  options: [
    { flags: "--data <folder>", description: "the folder that serve was given", default: "./healthcrypt-data" },
    { flags: "-e, --eval <expression>", description: "print one expression's value and leave" },
  ],
  async run(io, options) {
    const folder = await findDataFolder(textOf(options.data, "--data")!)
    const db = openSqlite(folder.database, "read")
    try {
      const models = openModels(db)
      return await (options.eval === undefined ? converse(io, models) : evaluate(io, models, String(options.eval)))
    } finally {
      await db.destroy()
    }
  },
}

/** An interactive prompt, until its input ends. */
async function converse(io: Io, models: Models): Promise<number> {
  if (io.isTerminal) await io.err.lines(greeting)
  const input = io.isTerminal ? io.stdin : new PassThrough()
  const prompt = io.isTerminal ? "healthcrypt> " : ""
  const repl = await io.out.repl(input, prompt, io.isTerminal, showValue)
  Object.assign(repl.context, models, { console: io.out.console(showValue) })
  awaitValues(repl)
  const ended = new Promise<void>((resolve) => repl.once("exit", resolve))
  if (input instanceof PassThrough) await feed(repl, input, io)
  await ended
  return 0
}

type Repl = Awaited<ReturnType<Io["out"]["repl"]>>

/** Shows what a promise comes to, not the promise, as -e does. */
function awaitValues(repl: Repl): void {
  const evaluate = repl.eval
  Object.assign(repl, {
    eval: ((code, context, file, done) =>
      evaluate.call(repl, code, context, file, (error, value) => {
        if (error !== null) done(error, value)
        else Promise.resolve(value).then((settled) => done(null, settled), done as (error: Error) => void)
      })) satisfies Repl["eval"],
  })
}

/** Gives a prompt without a terminal one line after the other, each when the one before is answered, awaiting included. */
async function feed(repl: Repl, input: PassThrough, io: Io): Promise<void> {
  let answered = (): void => {}
  // Node shows a prompt when a line is done with, however it ended; here nobody looks at one.
  Object.assign(repl, { displayPrompt: () => answered() })
  for await (const line of createInterface({ input: io.stdin })) {
    const isCommand = /^\s*(\.\w|$)/.test(line)
    const answer = Promise.withResolvers<void>()
    answered = answer.resolve
    input.write(`${line}\n`)
    if (!isCommand) await answer.promise
  }
  input.end()
}

async function evaluate(io: Io, models: Models, expression: string): Promise<number> {
  const script = compile(expression)
  try {
    const value: unknown = await script.runInContext(
      createContext({ ...models, Buffer, console: io.out.console(showValue) }),
    )
    if (value !== undefined) await io.out.lines(typeof value === "string" ? [value] : showValue(value))
    return 0
  } catch (error) {
    if (error instanceof AppError) throw error
    await io.err.lines(showValue(error))
    return 1
  }
}

/** `await` may stand anywhere in the expression. @throws UsageError */
function compile(expression: string): Script {
  try {
    return new Script(`(async () => (${expression}\n))()`)
  } catch (cause) {
    throw new UsageError(`This is not an expression: ${cause instanceof Error ? cause.message : expression}`)
  }
}
