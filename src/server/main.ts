import { X509Certificate } from "node:crypto"
import { existsSync } from "node:fs"
import { isIP } from "node:net"
import { Server as TlsServer } from "node:tls"
import type { FastifyInstance } from "fastify"
import { AppError } from "../errors.ts"
import type { Registration } from "../protocol/accounts.ts"
import { isLoopback, nameFor, urlOf } from "./address.ts"
import { buildApp } from "./app.ts"
import type { Pair } from "./authority.ts"
import { newestBackupOf } from "./backup/backup.ts"
import { demandFinished, rememberHead } from "./backup/remember.ts"
import { claimDataFolder, dataFolder } from "./data-folder.ts"
import type { LogLevel } from "./deps.ts"
import { hostCheck } from "./hosts.ts"
import { demandFreePort, listen, portOf } from "./listen.ts"
import { logSigner } from "./log.ts"
import { listenForOperator } from "./operator-socket.ts"
import { demandPage, servePage } from "./page.ts"
import { openSecrets } from "./secrets.ts"
import { type Quota, usualQuota } from "./store/quota.ts"
import { openStore } from "./store/sqlite.ts"
import { type Certificates, demandSafeTransit, nameIn, openCertificates, type Transit } from "./tls.ts"
import type { WitnessAddress } from "./witnesses.ts"

export interface ServerConfig {
  readonly dataDir: string
  readonly host: string
  /** 0 takes any free one. */
  readonly port: number
  readonly transit: Transit
  /** Names besides its own that it may be asked for by, as `parseServerName` returns them. */
  readonly hostNames?: readonly string[]
  /** The built page, or `null` for the API alone. */
  readonly webRoot: string | null
  /** Who can sign up; left out, anybody where nobody but this machine reaches the server, else whoever is invited. */
  readonly registration?: Registration
  /** What each physician may store and add to the log; the usual where left out. */
  readonly quota?: Partial<Quota>
  /** How many may sign up from one address within an hour without an invitation; the usual number where left out. */
  readonly signUps?: number
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

const proxyAdvice =
  "Behind a proxy, say by which name browsers ask for this server: --host-name practice.example. Until then it answers to this machine's " +
  "own names alone."
const renewalCheckMs = 10 * 60_000
const closeMs = 10_000

/** Starts a server on a data folder, which is made where there is none.
 * @throws AppError with what to do, when it must not or cannot start */
export async function startServer(config: ServerConfig): Promise<RunningServer> {
  await demandSafeTransit(config.host, config.transit, config.now())
  if (config.webRoot !== null) demandPage(config.webRoot)
  // Where nothing is yet, nothing is made for a server that cannot listen. A folder that is there may be in use, which is said first.
  if (!existsSync(dataFolder(config.dataDir).database)) await demandFreePort(config)
  const folder = await claimDataFolder(config.dataDir)
  const held: (() => Promise<void> | void)[] = [folder.release]
  const letGo = async (): Promise<void> => {
    for (let release = held.pop(); release; release = held.pop()) await release()
  }
  try {
    demandFinished(folder)
    const secrets = await openSecrets(folder)
    const certificates = openCertificates(folder, config.host, config.transit, config.notice)
    const pair = await certificates?.current(config.now())
    const store = await openStore({
      file: folder.database,
      signCheckpoint: logSigner(secrets.logSeed).sign,
      now: config.now,
      writable: folder.writable,
      quota: { ...usualQuota, ...config.quota },
    }).catch((cause) => {
      throw cause instanceof AppError ? cause : unopened(folder.database, cause)
    })
    held.push(() => store.close())
    if (store.readOnly())
      config.notice(
        `Nothing can be written to ${folder.path}: physicians can read, and nothing else. Start again once it can.`,
      )
    let certificate = pair ? new X509Certificate(pair.cert) : null
    const isMeant = await hostCheck({
      host: config.host,
      named: config.hostNames ?? [],
      port: () => portOf(app.server),
      certificate: () => certificate,
    })
    const registration = config.registration ?? (await usualRegistration(config))
    const app: FastifyInstance = await buildApp({
      store,
      secrets,
      isMeant,
      secureCookies: config.transit.kind !== "plain",
      trustProxy: config.transit.kind === "proxy",
      registration,
      logLevel: config.logLevel,
      ...(config.signUps !== undefined && { signUps: config.signUps }),
      ...(config.witnesses && { witnesses: config.witnesses }),
      newestBackup: () => newestBackupOf(folder, store.origin, store.treeHead().size),
      now: config.now,
      ...(config.logStream && { logStream: config.logStream }),
      ...(pair && { https: { ...pair, minVersion: "TLSv1.3" } }),
    })
    let closeFurther = async (): Promise<void> => {}
    held.push(() => closeInTime(app, () => closeFurther()))
    if (config.webRoot !== null) await servePage(app, config.webRoot)
    await secrets.settle()
    held.push(rememberHead(folder, store))
    closeFurther = await listen(app, config)
    if (certificates && pair)
      held.push(
        renewing(app, certificates, pair, config, ({ cert }) => {
          certificate = new X509Certificate(cert)
        }),
      )
    if (config.transit.kind === "proxy" && !config.hostNames?.length) config.notice(proxyAdvice)
    const url = await urlFor(app, config, pair)
    held.push(await listenForOperator(folder, app.operator, invitedTo(config, url, portOf(app.server)), config.notice))
    return { url, close: letGo }
  } catch (error) {
    await letGo()
    throw error
  }
}

async function usualRegistration({ host, transit }: ServerConfig): Promise<Registration> {
  return transit.kind !== "proxy" && (await isLoopback(host)) ? "open" : "invited"
}

function unopened(path: string, cause: unknown): AppError {
  const advice =
    `${path} cannot be opened: it is damaged, or a newer version of Healthcrypt made it. Update Healthcrypt; ` +
    "if that does not help, put your copy of the database back."
  return new AppError("UNAVAILABLE_STORAGE", advice, { cause })
}

/** Connections that do not come to their end within ten seconds are cut. */
async function closeInTime(app: FastifyInstance, closeFurther: () => Promise<void>): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), closeMs)
  await Promise.all([app.close(), closeFurther()])
  clearTimeout(cut)
}

/** Puts a fresh certificate in place while the server runs. @returns what ends it */
function renewing(
  app: FastifyInstance,
  certificates: Certificates,
  first: Pair,
  config: ServerConfig,
  renewed: (pair: Pair) => void,
): () => void {
  let inUse = first.cert
  const timer = setInterval(() => {
    certificates.current(config.now()).then(
      (pair) => {
        if (pair.cert === inUse || !(app.server instanceof TlsServer)) return
        app.server.setSecureContext({ ...pair, minVersion: "TLSv1.3" })
        inUse = pair.cert
        renewed(pair)
      },
      (error) =>
        config.notice(`The certificate could not be renewed. ${error instanceof AppError ? error.message : ""}`),
    )
  }, renewalCheckMs)
  timer.unref()
  return () => clearInterval(timer)
}

/** The address to type into a browser, by a name that the certificate is for. */
async function urlFor(app: FastifyInstance, { host }: ServerConfig, pair: Pair | undefined): Promise<string> {
  const name = await nameFor(host)
  return urlOf(pair ? "https" : "http", pair ? nameIn(pair, name) : name, portOf(app.server))
}

/** Where an invitation leads: by the name that the operator gave, for addresses change. `null` where it is not known. */
function invitedTo({ transit, hostNames = [] }: ServerConfig, url: string, port: number): string | null {
  const name = [...hostNames, ...(transit.kind === "auto" ? transit.names : [])].find((one) => isIP(one) === 0)
  if (transit.kind === "proxy") return name === undefined ? null : `https://${name}`
  return name === undefined ? url : urlOf(transit.kind === "plain" ? "http" : "https", name, port)
}
