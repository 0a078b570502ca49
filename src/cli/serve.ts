import { parseServerName } from "../server/address.ts"
import type { LogLevel } from "../server/deps.ts"
import { startServer } from "../server/main.ts"
import { builtPage } from "../server/page.ts"
import type { Quota } from "../server/store/quota.ts"
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
  isServer: true,
  options: [
    { flags: "--port <number>", description: "port to listen on; 0 takes any free one", default: "5000" },
    { flags: "--host <address>", description: "address to listen on", default: "127.0.0.1" },
    { flags: "--host-name <name...>", description: "further names that browsers ask for it by, such as a proxy's" },
    { flags: "--data <folder>", description: "where everything is kept", default: "./healthcrypt-data" },
    { flags: "--tls <mode>", description: "auto: make a local authority and a certificate" },
    { flags: "--tls-name <name...>", description: "with --tls auto: further names and addresses for the certificate" },
    { flags: "--tls-cert <file>", description: "a certificate of yours: PEM, the whole chain" },
    { flags: "--tls-key <file>", description: "its private key: PEM" },
    { flags: "--behind-proxy", description: "a proxy in front speaks TLS to the world and sets X-Forwarded-For" },
    { flags: "--witness <vkey=url...>", description: "have the log's checkpoints cosigned by this witness" },
    {
      flags: "--registration <who>",
      description: "who can sign up: open, invited or closed (open where this machine alone reaches it, else invited)",
    },
    { flags: "--quota-bytes <number>", description: "what each physician may store (20 GiB)" },
    { flags: "--quota-records <number>", description: "how many records each physician may open (200000)" },
    { flags: "--quota-leaves <number>", description: "what each physician may add to the log within an hour (100000)" },
    {
      flags: "--quota-sign-ups <number>",
      description: "how many may sign up from one address within an hour without an invitation (100)",
    },
    { flags: "--log-level <level>", description: "silent, error, warn, info or debug", default: "info" },
  ],
  async run(io, options) {
    const port = Number(options.port)
    if (!/^\d{1,5}$/.test(String(options.port)) || port > 65_535)
      throw new UsageError("--port takes a number from 0 to 65535.")
    const level = levels.find((item) => item === options.logLevel)
    if (level === undefined) throw new UsageError(`--log-level takes one of: ${levels.join(", ")}.`)
    const registration = registrations.find((item) => item === options.registration)
    if (options.registration !== undefined && registration === undefined)
      throw new UsageError(`--registration takes one of: ${registrations.join(", ")}.`)
    const quota = quotaOf(options)
    const signUps = numberOf(options.quotaSignUps, "--quota-sign-ups")
    const transit = transitOf(options)
    const witnesses = witnessesOf(options)
    const stop = nextSignal()
    const server = await startServer({
      dataDir: textOf(options.data, "--data")!,
      host: textOf(options.host, "--host")!,
      port,
      transit,
      hostNames: hostNamesOf(options),
      webRoot: builtPage,
      witnesses,
      ...(registration && { registration }),
      quota,
      ...(signUps !== undefined && { signUps }),
      logLevel: level,
      logStream: io.err.log,
      notice: (text) => {
        for (const line of text.split("\n")) io.err.whole(line)
      },
      now: Date.now,
    })
    await io.out.whole(`Healthcrypt is ready at ${server.url}`)
    await stop
    await server.close()
    return 0
  },
}

const maxTlsNames = 50
const registrations = ["open", "invited", "closed"] as const
const levels: readonly LogLevel[] = ["silent", "error", "warn", "info", "debug"]

/** @throws UsageError */
function transitOf(options: Options): Transit {
  const { tls, tlsCert, tlsKey, behindProxy } = options
  if (tls !== undefined && tls !== "auto")
    throw new UsageError("--tls takes only: auto. For a certificate of yours use --tls-cert.")
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw new UsageError("--tls-cert and --tls-key go together.")
  const ways = [tls, tlsCert, behindProxy].filter((way) => way !== undefined)
  if (ways.length > 1) throw new UsageError("Choose one of --tls auto, --tls-cert with --tls-key, and --behind-proxy.")
  const names = tlsNamesOf(options)
  if (tls !== undefined) return { kind: "auto", names }
  if (names.length > 0) throw new UsageError("--tls-name goes with --tls auto.")
  if (behindProxy !== undefined) return { kind: "proxy" }
  return tlsCert === undefined ? { kind: "plain" } : { kind: "files", cert: String(tlsCert), key: String(tlsKey) }
}

/** @throws UsageError */
function tlsNamesOf({ tlsName }: Options): string[] {
  if (!Array.isArray(tlsName)) return []
  if (tlsName.length > maxTlsNames) throw new UsageError(`--tls-name takes ${maxTlsNames} names at most.`)
  return tlsName.map((text: unknown) => {
    const name = parseServerName(String(text))
    if (name !== null) return name
    throw new UsageError("--tls-name takes a host name or an IP address, such as practice.local.")
  })
}

/** @throws UsageError */
function hostNamesOf({ hostName }: Options): string[] {
  if (!Array.isArray(hostName)) return []
  return hostName.map((text: unknown) => {
    const name = parseServerName(String(text))
    if (name !== null) return name
    throw new UsageError("--host-name takes a host name or an IP address, without https:// and port: practice.example.")
  })
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

/** @throws UsageError */
function quotaOf(options: Options): Partial<Quota> {
  const given = { bytes: options.quotaBytes, records: options.quotaRecords, leaves: options.quotaLeaves }
  const quota: Record<string, number> = {}
  for (const [name, value] of Object.entries(given)) {
    const number = numberOf(value, `--quota-${name}`)
    if (number !== undefined) quota[name] = number
  }
  return quota
}

/** @throws UsageError */
function numberOf(value: unknown, flag: string): number | undefined {
  if (value === undefined) return undefined
  if (!/^[1-9]\d{0,14}$/.test(String(value))) throw new UsageError(`${flag} takes a whole number from 1 on.`)
  return Number(value)
}
