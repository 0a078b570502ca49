import type { LogLevel } from "../server/deps.ts"
import { startServer } from "../server/main.ts"
import { builtPage } from "../server/page.ts"
import type { Transit } from "../server/tls.ts"
import { parseWitnessAddress, type WitnessAddress } from "../server/witnesses.ts"
import { textOf, UsageError } from "./ask.ts"
import type { CliCommand } from "./command.ts"
import { nextSignal } from "./process.ts"

type Options = Readonly<Record<string, unknown>>

/** Runs until SIGTERM or SIGINT, then finishes what is in flight. */
export const serve: CliCommand = {
  name: "serve",
  summary: "Run the server: its API and its page",
  options: [
    { flags: "--port <number>", description: "port to listen on; 0 takes any free one", default: "5000" },
    { flags: "--host <address>", description: "address to listen on", default: "127.0.0.1" },
    { flags: "--data <folder>", description: "where everything is kept", default: "./healthcrypt-data" },
    { flags: "--tls <mode>", description: "auto: make a local authority and a certificate" },
    { flags: "--tls-cert <file>", description: "a certificate of yours: PEM, the whole chain" },
    { flags: "--tls-key <file>", description: "its private key: PEM" },
    { flags: "--behind-proxy", description: "a proxy in front speaks TLS to the world and sets X-Forwarded-For" },
    { flags: "--witness <vkey=url...>", description: "have the log's checkpoints cosigned by this witness" },
    { flags: "--log-level <level>", description: "silent, error, warn, info or debug", default: "info" },
  ],
  async run(io, options) {
    const port = Number(options.port)
    if (!/^\d{1,5}$/.test(String(options.port)) || port > 65_535)
      throw new UsageError("--port takes a number from 0 to 65535.")
    const level = levels.find((item) => item === options.logLevel)
    if (level === undefined) throw new UsageError(`--log-level takes one of: ${levels.join(", ")}.`)
    const transit = transitOf(options)
    const witnesses = witnessesOf(options)
    const stop = nextSignal()
    const server = await startServer({
      dataDir: textOf(options.data, "--data")!,
      host: textOf(options.host, "--host")!,
      port,
      transit,
      webRoot: builtPage,
      witnesses,
      logLevel: level,
      logStream: io.stderr,
      notice: (text) => io.stderr.write(`${text}\n`),
      now: Date.now,
    })
    io.stdout.write(`Healthcrypt is ready at ${server.url}\n`)
    await stop
    await server.close()
    return 0
  },
}

const levels: readonly LogLevel[] = ["silent", "error", "warn", "info", "debug"]

/** @throws UsageError */
function transitOf(options: Options): Transit {
  const { tls, tlsCert, tlsKey, behindProxy } = options
  if (tls !== undefined && tls !== "auto")
    throw new UsageError("--tls takes only: auto. For a certificate of yours use --tls-cert.")
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw new UsageError("--tls-cert and --tls-key go together.")
  const ways = [tls, tlsCert, behindProxy].filter((way) => way !== undefined)
  if (ways.length > 1) throw new UsageError("Choose one of --tls auto, --tls-cert with --tls-key, and --behind-proxy.")
  if (tls !== undefined) return { kind: "auto" }
  if (behindProxy !== undefined) return { kind: "proxy" }
  return tlsCert === undefined ? { kind: "plain" } : { kind: "files", cert: String(tlsCert), key: String(tlsKey) }
}

/** @throws UsageError */
function witnessesOf({ witness }: Options): WitnessAddress[] {
  if (!Array.isArray(witness)) return []
  return witness.map((text: unknown) => {
    const address = parseWitnessAddress(String(text))
    if (address !== null) return address
    throw new UsageError("--witness takes a witness's vkey, = and its address: name+0123abcd+BASE64=https://….")
  })
}
