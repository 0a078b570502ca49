import { Server as TlsServer } from "node:tls"
import type { FastifyInstance } from "fastify"
import { AppError } from "../errors.ts"
import { urlOf } from "./address.ts"
import { buildApp } from "./app.ts"
import type { Pair } from "./authority.ts"
import { claimDataFolder } from "./data-folder.ts"
import type { LogLevel } from "./deps.ts"
import { logSigner } from "./log.ts"
import { addSecurityHeaders, demandPage, servePage } from "./page.ts"
import { openSecrets } from "./secrets.ts"
import { openStore } from "./store/sqlite.ts"
import { type Certificates, demandSafeTransit, openCertificates, type Transit, trustAdvice } from "./tls.ts"
import type { WitnessAddress } from "./witnesses.ts"

export interface ServerConfig {
  readonly dataDir: string
  readonly host: string
  /** 0 takes any free one. */
  readonly port: number
  readonly transit: Transit
  /** The built page, or `null` for the API alone. */
  readonly webRoot: string | null
  /** Who is asked to cosign the log's checkpoints. */
  readonly witnesses?: readonly WitnessAddress[]
  readonly logLevel: LogLevel
  /** Where log lines go; standard error where left out. */
  readonly logStream?: { write(line: string): void }
  /** Takes what whoever starts the server has to know. */
  readonly notice: (text: string) => void
  /** Milliseconds since 1970. */
  readonly now: () => number
}

export interface RunningServer {
  readonly url: string
  /** Finishes what is in flight, then lets go of everything. */
  close(): Promise<void>
}

const renewalCheckMs = 12 * 3_600_000
const closeMs = 10_000

/** Starts a server on a data folder, which is made where there is none.
 * @throws AppError with what to do, when it must not or cannot start */
export async function startServer(config: ServerConfig): Promise<RunningServer> {
  await demandSafeTransit(config.host, config.transit)
  if (config.webRoot !== null) demandPage(config.webRoot)
  const folder = await claimDataFolder(config.dataDir)
  const held: (() => Promise<void> | void)[] = [folder.release]
  const letGo = async (): Promise<void> => {
    for (let release = held.pop(); release; release = held.pop()) await release()
  }
  try {
    const secrets = await openSecrets(folder)
    const certificates = openCertificates(folder, config.host, config.transit)
    const pair = await certificates?.current(config.now())
    const store = await openStore({
      file: folder.database,
      signCheckpoint: logSigner(secrets.logSeed).sign,
      now: config.now,
    }).catch((cause) => {
      throw cause instanceof AppError ? cause : unopened(folder.database, cause)
    })
    held.push(() => store.close())
    const secure = config.transit.kind !== "plain"
    const app = await buildApp({
      store,
      secrets,
      secureCookies: secure,
      trustProxy: config.transit.kind === "proxy",
      logLevel: config.logLevel,
      ...(config.witnesses && { witnesses: config.witnesses }),
      now: config.now,
      ...(config.logStream && { logStream: config.logStream }),
      ...(pair && { https: { ...pair, minVersion: "TLSv1.3" } }),
    })
    held.push(() => closeInTime(app))
    addSecurityHeaders(app, secure)
    if (config.webRoot !== null) await servePage(app, config.webRoot)
    await secrets.settle()
    await listen(app, config)
    if (certificates && pair) held.push(renewing(app, certificates, pair, config))
    if (certificates?.authorityFile) config.notice(await trustAdvice(certificates.authorityFile))
    return { url: await urlOf(pair ? "https" : "http", config.host, portOf(app)), close: letGo }
  } catch (error) {
    await letGo()
    throw error
  }
}

function unopened(path: string, cause: unknown): AppError {
  const advice =
    `${path} cannot be opened: it is damaged, or a newer version of Healthcrypt made it. Update Healthcrypt; ` +
    "if that does not help, put your copy of the database back."
  return new AppError("UNAVAILABLE_STORAGE", advice, { cause })
}

async function listen(app: FastifyInstance, { host, port }: ServerConfig): Promise<void> {
  try {
    await app.listen({ host, port, listenTextResolver: () => "listening" })
  } catch (cause) {
    const advice = {
      EADDRINUSE: `Port ${port} is taken. Stop the program that uses it, or choose another port with --port.`,
      EACCES: `This user may not listen on port ${port}. Choose one above 1023 with --port.`,
      EADDRNOTAVAIL: `${host} is not an address of this machine. Choose another with --host.`,
      ENOTFOUND: `${host} is not an address of this machine. Choose another with --host.`,
    }[(cause as NodeJS.ErrnoException).code ?? ""]
    throw advice ? new AppError("UNAVAILABLE", advice, { cause }) : cause
  }
}

/** Connections that do not come to their end within ten seconds are cut. */
async function closeInTime(app: FastifyInstance): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), closeMs)
  await app.close()
  clearTimeout(cut)
}

/** Puts a fresh certificate in place while the server runs. @returns what ends it */
function renewing(app: FastifyInstance, certificates: Certificates, first: Pair, config: ServerConfig): () => void {
  let inUse = first.cert
  const timer = setInterval(() => {
    certificates.current(config.now()).then(
      (pair) => {
        if (pair.cert === inUse || !(app.server instanceof TlsServer)) return
        app.server.setSecureContext({ ...pair, minVersion: "TLSv1.3" })
        inUse = pair.cert
      },
      (error) =>
        config.notice(`The certificate could not be renewed. ${error instanceof AppError ? error.message : ""}`),
    )
  }, renewalCheckMs)
  timer.unref()
  return () => clearInterval(timer)
}

function portOf(app: FastifyInstance): number {
  const address = app.server.address()
  if (address === null || typeof address === "string") throw new AppError("UNAVAILABLE")
  return address.port
}
