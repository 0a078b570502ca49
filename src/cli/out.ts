import { fsyncSync } from "node:fs"
import type { REPLServer } from "node:repl"
import type { Readable, Writable } from "node:stream"
import { styleText } from "node:util"
import { shownJson } from "../encoding/shown-text.ts"
import { AppError } from "../errors.ts"
import { clean, layTable, wrap } from "./clean.ts"

/** The one way out: all that a command writes, to a terminal or into a pipe, goes through here, and a command holds no stream. A text is
 * one line, whatever it says: only who calls `lines` makes lines. Nothing in a text steers a terminal. Files are not written here.
 * A reader that goes away ends no command, nor does a full disk: the work goes on, and what it comes to decides the exit code. Whoever writes
 * what exists nowhere else calls {@link Out.demandWritten}.
 * test/cli/out.test.ts demands that no other file of this folder reaches a stream. */
export class Out {
  readonly #stream: Writable
  /** Whether a person sees it. */
  readonly isTerminal: boolean
  readonly #colour: boolean
  #failure: NodeJS.ErrnoException | null = null
  #last: Promise<void> = Promise.resolve()
  /** Told once, of the first failure. */
  onFailure: (error: NodeJS.ErrnoException) => void = () => {}

  constructor(stream: Writable, env: Readonly<Record<string, string | undefined>>) {
    this.#stream = stream
    this.isTerminal = (stream as { isTTY?: boolean }).isTTY === true
    this.#colour = this.isTerminal && !env.NO_COLOR
  }

  /** Why something could not be written, first of all; null while everything was. */
  get failure(): NodeJS.ErrnoException | null {
    return this.#failure
  }

  /** Whether whoever read this has gone: nothing is written any more. */
  get hasNoReader(): boolean {
    return this.#failure?.code === "EPIPE"
  }

  /** Writes one line, and waits until it is taken. */
  line(text = ""): Promise<void> {
    return this.lines([text])
  }

  /** Each of them is one line. */
  lines(texts: readonly string[]): Promise<void> {
    return this.#write(texts.flatMap((text) => this.#fit(clean(text))))
  }

  /** One line that is copied whole, such as a token: no terminal gets it in pieces. For what this program itself has made. */
  whole(text: string): Promise<void> {
    return this.#write([clean(text)])
  }

  /** Rows with aligned columns. @param head this program's own words */
  table(head: readonly string[], rows: readonly (readonly string[])[]): Promise<void> {
    const [title = "", ...lines] = layTable(head, rows).map((line) => this.#fit(line))
    return this.#write([
      ...[title].flat().map((line) => (this.#colour ? styleText("dim", line) : line)),
      ...lines.flat(),
    ])
  }

  /** A value as JSON, over several lines. */
  json(value: unknown): Promise<void> {
    return this.jsonText(JSON.stringify(value, null, 2))
  }

  /** A value as JSON in one line. */
  jsonLine(value: unknown): Promise<void> {
    return this.jsonText(JSON.stringify(value))
  }

  /** JSON that is text already: every value stays what it is. */
  jsonText(json: string): Promise<void> {
    return this.#write([shownJson(json.replace(/\n$/, ""))])
  }

  /** Where a logger writes its lines, each of them JSON. */
  get log(): { write(line: string): void } {
    return { write: (line) => void this.jsonText(line) }
  }

  /** A prompt for expressions, as Node has it. @param show a value as lines: nothing else of a value is shown */
  async repl(input: Readable, prompt: string, isTerminal: boolean, show: Show): Promise<REPLServer> {
    const { start } = await import("node:repl")
    const repl = start({
      prompt,
      input,
      output: this.#stream,
      terminal: isTerminal,
      ignoreUndefined: true,
      // It would show values by another way.
      preview: false,
      useColors: false,
      writer: (value: unknown) =>
        show(value)
          .flatMap((line) => this.#fit(clean(line)))
          .join("\n"),
    })
    const complete = repl.completer as (line: string, done: Completed) => void
    const completer = (line: string, done: Completed) =>
      complete.call(repl, line, (error, found) =>
        done(error, found && [found[0].filter((name) => name === clean(name)), found[1]]),
      )
    Object.assign(repl, { completer })
    return repl
  }

  /** A console for what is evaluated. */
  console(show: Show): Readonly<Record<"log" | "info" | "debug" | "warn" | "error", (...values: unknown[]) => void>> {
    const log = (...values: unknown[]) =>
      void this.lines(values.length === 1 ? show(values[0]) : [values.flatMap(show).join(" ")])
    return { log, info: log, debug: log, warn: log, error: log }
  }

  #fit(line: string): string[] {
    const { columns } = this.#stream as { columns?: number }
    return this.isTerminal && columns !== undefined ? wrap(line, columns) : [line]
  }

  /** Waits for what was written without waiting. */
  async settle(): Promise<void> {
    await this.#last
  }

  /** Demands that all of it was written, and is on the disk where it goes to a file.
   * @param consequence what its absence means. @throws UNAVAILABLE */
  async demandWritten(consequence: string): Promise<void> {
    await this.#last
    const { fd } = this.#stream as { fd?: number }
    if (this.#failure === null && fd !== undefined) this.#sync(fd)
    if (this.#failure === null) return
    const reason = this.hasNoReader ? "Standard output has no reader any more. " : ""
    throw new AppError("UNAVAILABLE", `${reason}${consequence}`, { cause: this.#failure })
  }

  /** Notes that the stream has failed. */
  fail(error: NodeJS.ErrnoException): void {
    if (this.#failure !== null) return
    this.#failure = error
    this.onFailure(error)
  }

  #sync(fd: number): void {
    try {
      fsyncSync(fd)
    } catch (cause) {
      const error = cause as NodeJS.ErrnoException
      // A pipe and a terminal have nothing to bring to a disk.
      if (!["EINVAL", "ENOTSUP", "EROFS"].includes(error.code ?? "")) this.fail(error)
    }
  }

  #write(lines: readonly string[]): Promise<void> {
    if (this.hasNoReader) return Promise.resolve()
    this.#last = new Promise((resolve) => {
      this.#stream.write(`${lines.join("\n")}\n`, (error) => {
        if (error) this.fail(error)
        resolve()
      })
    })
    return this.#last
  }
}

type Show = (value: unknown) => string[]
type Completed = (error: Error | null, found?: [names: string[], part: string]) => void

/** Standard error before a person: it asks, too. Its prompts and bars are the only ones that move a cursor. */
export class Talk extends Out {
  readonly #stream: Writable
  readonly #input: Readable

  constructor(input: Readable, stream: Writable, env: Readonly<Record<string, string | undefined>>) {
    super(stream, env)
    this.#input = input
    this.#stream = stream
  }

  /** One line from a person. @param initial what stands in the field already: whoever leaves it as it is gets it back as it was
   * @returns null where they stopped */
  async ask(question: string, initial = ""): Promise<string | null> {
    const { text, isCancel } = await import("@clack/prompts")
    const shown = clean(initial)
    const answer = await text({ message: clean(question), initialValue: shown, ...this.#ways })
    if (isCancel(answer) || typeof answer !== "string") return null
    return answer === shown ? initial : answer
  }

  /** The same, without showing it. */
  async askSecret(question: string): Promise<string | null> {
    const { password, isCancel } = await import("@clack/prompts")
    const answer = await password({ message: clean(question), ...this.#ways })
    return isCancel(answer) || typeof answer !== "string" ? null : answer
  }

  /** A bar on a terminal, silence in a pipe. @param unit what is counted, in the plural */
  async bar(label: string, unit: string): Promise<Bar> {
    if (!this.isTerminal) return { tick: () => {}, stop: () => {} }
    const { Presets, SingleBar } = await import("cli-progress")
    const format = `${clean(label)}{bar} {value}/{total} ${clean(unit)} · {rate}/s · {eta_formatted} left`
    const stream = this.#stream as NodeJS.WriteStream
    const bar = new SingleBar({ format, stream, hideCursor: true }, Presets.shades_classic)
    const started = Date.now()
    let running = false
    return {
      tick(done, total) {
        if (!running) bar.start(total, 0, { rate: 0 })
        running = true
        bar.update(done, { rate: Math.round((done * 1000) / Math.max(1, Date.now() - started)) })
      },
      stop: () => bar.stop(),
    }
  }

  get #ways() {
    return { input: this.#input, output: this.#stream }
  }
}

export interface Bar {
  tick(done: number, total: number): void
  stop(): void
}

/** This process's own streams. */
export function processStreams() {
  const { stdin, stdout, stderr, env } = process
  const [out, err] = [new Out(stdout, env), new Talk(stdin, stderr, env)]
  stdout.on("error", (error: NodeJS.ErrnoException) => out.fail(error))
  // Of messages and log lines nobody can be told that they were not taken.
  stderr.on("error", (error: NodeJS.ErrnoException) => err.fail(error))
  out.onFailure = ({ code, message }) => {
    if (code !== "EPIPE") void err.line(`Standard output cannot be written (${code ?? message}).`)
  }
  return { stdin, out, err }
}
