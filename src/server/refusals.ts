import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import { AppError } from "../errors.ts"
import type { IsMeant } from "./hosts.ts"
import { secondsToNextHour } from "./store/quota.ts"

/** So long a connection may be still that keeps others waiting. */
const tryAgainSeconds = 30

const ofAnAnswer = ["accept-ranges", "content-encoding", "content-range", "etag", "last-modified"]

/** The one place where errors become answers: `{code, message, fields}` under the code's status. What nobody foresaw is
 * UNAVAILABLE, and goes to the log without its message, which might quote what came in. */
export function answerRefusals(app: FastifyInstance, now: () => number): void {
  app.setErrorHandler((error: FastifyError | AppError, request, reply) => {
    const refused = refusalOf(error)
    if (refused.is("UNAVAILABLE") && refused.status >= 500 && refused.code !== "UNAVAILABLE_BUSY") {
      const cause = refused.cause ?? error
      request.server.log.error({ route: request.routeOptions.url ?? "-", ...traceOf(cause) }, "failed")
    }
    if (refused.code === "UNAVAILABLE_BUSY") reply.header("retry-after", tryAgainSeconds)
    if (refused.code === "UNAVAILABLE_QUOTA_HOUR") reply.header("retry-after", secondsToNextHour(now()))
    // What was said of the answer that does not go is not true of this one: a browser would keep it for a year.
    for (const name of ofAnAnswer) reply.removeHeader(name)
    reply.header("cache-control", "no-store")
    return answer(reply, refused, refused.status)
  })
}

/** Answers an address that cannot be read. No hook has run for it, and nothing of it is repeated.
 * @param isMeant what the hooks would have asked of the request */
export function refuseUnreadable(isMeant: IsMeant) {
  return (_: FastifyError, { raw }: FastifyRequest, reply: FastifyReply): void => {
    const refusal = new AppError(isMeant(raw) ? "BAD_INPUT_FORMAT" : "NOT_ALLOWED_HOST")
    answer(reply.header("x-content-type-options", "nosniff"), refusal, refusal.status)
  }
}

/** Addresses of the API that do not exist are nobody's to open. */
export function refuseUnknown(app: FastifyInstance): void {
  for (const url of ["/api", "/api/*", "/log/*"]) app.all(url, async (_, reply) => answerAbsent(reply))
}

export function answerAbsent(reply: FastifyReply): FastifyReply {
  return answer(reply, new AppError("NOT_ALLOWED"), 404)
}

function answer(reply: FastifyReply, { code, message, fields }: AppError, status: number): FastifyReply {
  return reply
    .code(status)
    .type("application/json; charset=utf-8")
    .serializer(JSON.stringify)
    .send({ code, message, ...(fields && { fields }) })
}

function refusalOf(error: FastifyError | AppError): AppError {
  if (error instanceof AppError) return error
  if (error.validation !== undefined) return misshapen(error)
  if (error.code === "FST_ERR_CTP_BODY_TOO_LARGE") return new AppError("BAD_INPUT_SIZE")
  const { statusCode } = error
  const theirs = statusCode !== undefined && statusCode >= 400 && statusCode < 500
  return new AppError(theirs ? "BAD_INPUT_FORMAT" : "UNAVAILABLE", undefined, { cause: error })
}

/** Names the fields that are not as the schema wants them; never a value. */
function misshapen({ validation, validationContext }: FastifyError): AppError {
  const names = (validation ?? []).map(({ instancePath }) => instancePath.replace(/^\//, "").replaceAll("/", "."))
  const places = [...new Set(names.map((name) => [validationContext, name].filter(Boolean).join(".")))]
  const fields = Object.fromEntries(names.filter(Boolean).map((name) => [name, "This is not in the expected form."]))
  return new AppError("BAD_INPUT_FORMAT", `Not in the expected form: ${places.join(", ")}. Check it and try again.`, {
    fields,
  })
}

/** Where it failed, for the log: names, codes and source lines alone. */
export function traceOf(cause: unknown): { error: string; code?: string; at: string[] } {
  if (!(cause instanceof Error)) return { error: typeof cause, at: [] }
  const at = (cause.stack ?? "")
    .split("\n")
    .filter((line) => /^\s+at /.test(line))
    .map((line) => line.trim())
  const code = "errcode" in cause ? String(cause.errcode) : "code" in cause ? String(cause.code) : undefined
  return { error: cause.name, ...(code === undefined ? {} : { code }), at: at.slice(0, 8) }
}
