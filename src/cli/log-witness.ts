import { type AddressInfo, isIPv6 } from "node:net"
import { join } from "node:path"
import type { LogIdentity } from "../client/log.ts"
import { parseLogKey } from "../client/log-target.ts"
import { demandContinues, restoredLog } from "../client/restored-log.ts"
import { type Witness, withWitness } from "../client/witness.ts"
import { AppError } from "../errors.ts"
import { codeFrom, reading, textOf, UsageError } from "./ask.ts"
import type { CliCommand, Io } from "./command.ts"
import { wholeNumber, wordsOf } from "./ids.ts"
import { expectLog, isOrigin, memoryOf, withPublicLog } from "./log-address.ts"
import { nextSignal } from "./process.ts"
import { witnessServer } from "./witness-server.ts"

export const logWitness: CliCommand = {
  name: "log witness",
  summary: "Cosign checkpoints of logs that only grow: a C2SP tlog-witness; needs no account",
  isServer: true,
  options: [
    { flags: "--port <number>", description: "port to listen on; 0 takes any free one", default: "5080" },
    { flags: "--host <address>", description: "address to listen on", default: "127.0.0.1" },
    { flags: "--name <text>", description: "the name to sign under, such as witness.example/w1; for ever" },
    { flags: "--log <origin=key...>", description: "logs to accept besides those that it knows" },
    { flags: "--restored", description: "the server was put back: read its code on standard input, then go on" },
  ],
  async run(io, options) {
    const port = wholeNumber(options.port, "--port") ?? 0
    if (port > 65_535) throw new UsageError("--port takes a number from 0 to 65535.")
    const host = textOf(options.host, "--host")!
    const name = textOf(options.name, "--name")
    if (name !== null && !/^[^\s+]{1,200}$/u.test(name))
      throw new UsageError("--name takes up to 200 characters, without spaces and plus signs.")
    const logs = wordsOf(options.log).map(parseLog)
    const stop = nextSignal()
    const { home, storage } = memoryOf(io)
    const isNew = (await storage.get("witness")) === null
    const witness = {
      storage,
      name,
      logs,
      firstLog: () => withPublicLog(io, async (log) => (await expectLog(io, log, null)).log),
      now: Date.now,
    }
    const code = options.restored === true ? await codeFrom(io) : null
    return withWitness(witness, async (witness) => {
      if (code !== null) await follow(io, witness, code)
      const server = witnessServer(witness)
      const address = await listen(server, port, host)
      if (isNew && name === null) await sayName(io, witness.key.name, join(home, "witness"))
      await announce(io, witness, address)
      await stop
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
      return 0
    })
  },
}

/** Goes on in the log that the server was put back to. */
async function follow(io: Io, witness: Witness, code: string): Promise<void> {
  await withPublicLog(io, async ({ send }) => {
    const restored = await restoredLog(send, witness.logs, code)
    await demandContinues(send, witness.signedOf(restored.former), restored)
    await witness.follow(restored)
  })
}

/** ORIGIN=KEY, the key as 64 hexadecimal digits. @throws UsageError */
function parseLog(text: string): LogIdentity {
  const cut = text.lastIndexOf("=")
  const origin = text.slice(0, cut)
  if (cut < 1 || !isOrigin(origin)) throw new UsageError("--log takes ORIGIN=KEY, both as a recovery sheet has them.")
  return { origin, logKey: reading("--log", () => parseLogKey(text.slice(cut + 1))) }
}

/** A name that nobody chose is for ever all the same, once others rely on it. */
async function sayName(io: Io, name: string, file: string): Promise<void> {
  await io.err.line(`No --name was given: this witness signs as ${name}, for ever.`)
  await io.err.line("To choose another, do it now, before anybody uses its vkey:")
  await io.err.line(`stop it, delete ${file}, and start it with --name.`)
}

async function announce(io: Io, witness: Witness, at: AddressInfo): Promise<void> {
  for (const { origin } of witness.logs) await io.err.line(`Log ${origin}`)
  await io.out.whole(`vkey ${witness.vkey}`)
  const host = isIPv6(at.address) ? `[${at.address}]` : at.address
  await io.out.line(`The witness is ready at http://${host}:${at.port}`)
}

function listen(server: ReturnType<typeof witnessServer>, port: number, host: string): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const taken = cause.code === "EADDRINUSE"
      const advice = taken
        ? `Port ${port} is taken. Stop the program that uses it, or choose another port with --port.`
        : `This machine cannot listen at ${host}, port ${port}. Choose others with --host and --port.`
      reject(new AppError("UNAVAILABLE", advice, { cause }))
    })
    server.listen(port, host, () => resolve(server.address() as AddressInfo))
  })
}
