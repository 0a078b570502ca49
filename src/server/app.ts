import { readFile } from "node:fs/promises"
import cookie from "@fastify/cookie"
import Fastify, { type FastifyInstance, LogController } from "fastify"
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from "fastify-type-provider-zod"
import { AppError } from "../errors.ts"
import { logOrigin } from "../proof/checkpoint.ts"
import type { AppDeps } from "./deps.ts"
import { logSigner } from "./log.ts"
import { opaqueServer } from "./opaque.ts"
import { answerRefusals, refuseUnknown, traceOf } from "./refusals.ts"
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
import { Watchers } from "./watchers.ts"
import { Witnesses } from "./witnesses.ts"

const smallBody = 64 * 1024
const requestMs = 120_000
/** As long as our client waits for a whole answer, and six comment lines of a stream of events. */
const stillMs = 600_000
const purgeMs = 60_000

/** The API on a store, not listening yet. It does not close the store. */
export async function buildApp(deps: AppDeps): Promise<FastifyInstance> {
  const { store, secrets, now } = deps
  const app = create(deps)
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.removeContentTypeParser("text/plain")
  app.addContentTypeParser("application/octet-stream", { parseAs: "buffer" }, (_, body, done) => done(null, body))
  app.register(cookie)
  app.decorateRequest("session", null)
  answerRefusals(app)
  logRequests(app)
  app.addHook("onRequest", async (request, reply) => {
    if (request.url.startsWith("/api")) reply.header("cache-control", "no-store")
  })

  const opaque = await opaqueServer(secrets.opaqueSetup, store.practice)
  const sessions = new Sessions(store, deps.secureCookies, now)
  const { publicKey: logKey } = logSigner(secrets.logSeed)
  const about = {
    practice: store.practice,
    origin: logOrigin(store.practice),
    logKey,
    opaqueKey: opaque.publicKey,
    version: await ownVersion(),
  }
  const context = { store, sessions, opaque, watchers: new Watchers(deps.commentMs), now }
  const witnesses = new Witnesses(store, deps.witnesses ?? [], (witness, trouble) =>
    trouble === null
      ? app.log.info({ witness }, "cosigning again")
      : app.log.warn({ witness, trouble }, "not cosigned"),
  )
  const api = app.withTypeProvider<ZodTypeProvider>()
  practiceRoutes(api, about)
  registerRoutes(api, context)
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

function create({ logLevel, logStream, trustProxy, https, ...deps }: AppDeps): FastifyInstance {
  const options = {
    // No process id, no host name, and no request: what a line says is chosen in `logRequests`.
    logger: { level: logLevel, base: null, stream: logStream ?? process.stderr },
    logController: new LogController({ disableRequestLogging: true }),
    // The one proxy before us appends the address it saw; whatever stands before that is the client's own word.
    trustProxy: trustProxy ? (_: string, hop: number) => hop === 0 : false,
    bodyLimit: smallBody,
    requestTimeout: requestMs,
    // Whoever asks and does not take the answer is let go of, and what waits for them with it.
    connectionTimeout: deps.stillMs ?? stillMs,
    routerOptions: { maxParamLength: 64 },
  }
  if (https === undefined) return Fastify(options)
  return Fastify({ ...options, https }) as unknown as FastifyInstance
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

async function ownVersion(): Promise<string> {
  const text = await readFile(new URL("../../package.json", import.meta.url), "utf8")
  const { version }: { version?: unknown } = JSON.parse(text)
  if (typeof version !== "string") throw new AppError("UNAVAILABLE")
  return version
}
