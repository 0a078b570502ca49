import { readFile } from "node:fs/promises"
import { createServer, type RequestListener, type Server } from "node:http"
import { createServer as createSecureServer } from "node:https"
import cookie from "@fastify/cookie"
import Fastify, { type FastifyInstance, type FastifyRequest, LogController } from "fastify"
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from "fastify-type-provider-zod"
import { AppError } from "../errors.ts"
import { protocolHeader, protocolVersion, readOnlyHeader } from "../protocol/paths.ts"
import { addBodyParsers } from "./bodies.ts"
import type { AppDeps } from "./deps.ts"
import { GuessLimit } from "./guess-limit.ts"
import { demandMeant } from "./hosts.ts"
import { InFlight, limitInFlight, Turns } from "./in-flight.ts"
import { endForeignWorkers } from "./left-behind.ts"
import { logSigner } from "./log.ts"
import { oneByOne } from "./one-by-one.ts"
import { opaqueServer } from "./opaque.ts"
import { type Operator, operatorOf } from "./operator.ts"
import { isApi, refuseOtherPages } from "./own-page.ts"
import { addSecurityHeaders } from "./page.ts"
import { answerRefusals, refuseUnknown, refuseUnreadable, traceOf } from "./refusals.ts"
import { activityRoutes } from "./routes/activity.ts"
import { entryRoutes } from "./routes/entries.ts"
import { eventRoutes } from "./routes/events.ts"
import { keyringRoutes } from "./routes/keyring.ts"
import { logRoutes } from "./routes/log.ts"
import { loginRoutes } from "./routes/login.ts"
import { practiceRoutes } from "./routes/practice.ts"
import { recoverRoutes } from "./routes/recover.ts"
import { registerRoutes } from "./routes/register.ts"
import { segmentRoutes } from "./routes/segments.ts"
import { sessionRoutes } from "./routes/session.ts"
import { sharingRoutes } from "./routes/sharing.ts"
import { tileRoutes } from "./routes/tiles.ts"
import { unlocksRoutes } from "./routes/unlocks.ts"
import { Sessions } from "./sessions.ts"
import { usualSignUps } from "./sign-up-limit.ts"
import { answerUnparsed, headerBytes } from "./unparsed.ts"
import { Watchers } from "./watchers.ts"
import { Witnesses } from "./witnesses.ts"

declare module "fastify" {
  interface FastifyInstance {
    /** What whoever runs the server may ask of it. No route reaches it. */
    operator: Operator
  }
}

const smallBody = 64 * 1024
const requestMs = 120_000
/** Longer than from one comment line of a stream of events to the next. */
const usualStillMs = 30_000
/** Longer than a proxy keeps a connection that it does not use. */
const keepAliveMs = 72_000
const purgeMs = 60_000

/** The API on a store, not listening yet. It does not close the store. */
export async function buildApp(deps: AppDeps): Promise<FastifyInstance> {
  const { store, secrets, now } = deps
  const app = create(deps)
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.removeContentTypeParser("text/plain")
  const inFlight = new InFlight()
  addBodyParsers(app, inFlight)
  app.register(cookie)
  app.decorateRequest("session", null)
  answerRefusals(app, now)
  logRequests(app)
  addSecurityHeaders(app, deps.secureCookies)
  app.addHook("onRequest", async (request, reply) => {
    if (isApi(request)) reply.header("cache-control", "no-store")
  })
  demandMeant(app, deps.isMeant)
  endForeignWorkers(app)
  refuseOtherPages(app)
  app.addHook("onRequest", async (request) => {
    if (isApi(request)) demandProtocol(request)
  })

  app.addHook("onSend", async (request, reply) => {
    if (store.readOnly() && request.url.startsWith("/api")) reply.header(readOnlyHeader, "1")
  })

  limitInFlight(app, inFlight)

  const opaque = await opaqueServer(secrets.opaqueSetup, store.practice)
  const sessions = new Sessions(store, deps.secureCookies, now)
  const { publicKey: logKey } = logSigner(secrets.logSeed)
  const about = {
    practice: store.practice,
    origin: store.origin,
    logKey,
    opaqueKey: opaque.publicKey,
    version: await ownVersion(),
    registration: deps.registration,
  }
  const context = {
    store,
    sessions,
    opaque,
    guesses: new GuessLimit(now),
    watchers: new Watchers(deps.commentMs),
    turns: new Turns(),
    now,
  }
  const witnesses = new Witnesses(store, deps.witnesses ?? [], (witness, trouble) =>
    trouble === null
      ? app.log.info({ witness }, "cosigning again")
      : app.log.warn({ witness, trouble }, "not cosigned"),
  )
  app.decorate("operator", operatorOf(context, about))
  const api = app.withTypeProvider<ZodTypeProvider>()
  practiceRoutes(api, about, deps.newestBackup)
  registerRoutes(api, context, deps.registration, deps.signUps ?? usualSignUps)
  loginRoutes(api, context)
  recoverRoutes(api, context, logKey)
  sessionRoutes(api, context)
  unlocksRoutes(api, context)
  keyringRoutes(api, context)
  entryRoutes(api, context)
  sharingRoutes(api, context)
  activityRoutes(api, context)
  eventRoutes(api, context)
  logRoutes(api, context)
  tileRoutes(api, context, witnesses)
  segmentRoutes(api, context)
  refuseUnknown(api)

  const purging = setInterval(
    () => sessions.purge().catch((error: unknown) => app.log.error(traceOf(error), "purge")),
    purgeMs,
  )
  purging.unref()
  app.addHook("onReady", async () => witnesses.start())
  app.addHook("onClose", async () => {
    clearInterval(purging)
    witnesses.close()
  })
  return app
}

function create({ logLevel, logStream, trustProxy, ...deps }: AppDeps): FastifyInstance {
  return Fastify({
    // No process id, no host name, and no request: what a line says is chosen in `logRequests`.
    logger: { level: logLevel, base: null, stream: logStream ?? process.stderr },
    logController: new LogController({ disableRequestLogging: true }),
    // The one proxy before us appends the address it saw; whatever stands before that is the client's own word.
    trustProxy: trustProxy ? (_: string, hop: number) => hop === 0 : false,
    bodyLimit: smallBody,
    routerOptions: { maxParamLength: 64 },
    clientErrorHandler: answerUnparsed,
    frameworkErrors: refuseUnreadable(deps.isMeant),
    serverFactory: (handler) => listener(handler, deps),
  })
}

/** What listens, with TLS or without. Node refuses no request by itself: `oneByOne` would not see it. */
function listener(
  handler: RequestListener,
  { https, stillMs = usualStillMs }: Pick<AppDeps, "https" | "stillMs">,
): Server {
  const options = { ...https, requireHostHeader: false, maxHeaderSize: headerBytes }
  const answer = oneByOne(handler)
  const server = https === undefined ? createServer(options, answer) : createSecureServer(options, answer)
  server.on("checkExpectation", answer)
  server.requestTimeout = requestMs
  server.keepAliveTimeout = keepAliveMs
  // Whoever neither sends nor takes anything is let go of, and what waits for them with it.
  server.setTimeout(stillMs)
  return server
}

/** One line a request, which names the route and never what stood in it. */
function logRequests(app: FastifyInstance): void {
  app.addHook("onResponse", async (request, reply) => {
    const line = {
      method: request.method,
      route: request.routeOptions.url ?? "-",
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime * 10) / 10,
    }
    request.server.log.info(line, "request")
  })
}

/** Whoever writes, or comes to sign in, has to speak this protocol: version 0.2, which names none, would take the new leaves of keyrings for
 * tampering. It knows this code, and tells its physician to update. @throws BAD_INPUT_STATEMENT */
function demandProtocol({ method, headers }: FastifyRequest): void {
  if (method !== "POST" && method !== "PUT") return
  if (headers[protocolHeader] === protocolVersion) return
  const older = headers[protocolHeader] === undefined
  throw older
    ? new AppError("BAD_INPUT_STATEMENT", "Update Healthcrypt on this device, then try again. Nothing was changed.")
    : new AppError("UNAVAILABLE_UPDATE")
}

async function ownVersion(): Promise<string> {
  const text = await readFile(new URL("../../package.json", import.meta.url), "utf8")
  const { version }: { version?: unknown } = JSON.parse(text)
  if (typeof version !== "string") throw new AppError("UNAVAILABLE")
  return version
}
