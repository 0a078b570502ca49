import { AppError } from "../../errors.ts"
import { readIdentity } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import { putSelfGrants, readInvitations } from "../../protocol/records.ts"
import { MissLimit } from "../miss-limit.ts"
import { type Api, jsonLimit, limited, type RouteContext, sessionOf, signedIn } from "./context.ts"

const largest = jsonLimit(4 * 1024 * 1024)

/** Colleagues: who they are, what they invite to, and taking an invitation up. */
export function sharingRoutes(app: Api, { store, sessions, watchers, now }: RouteContext): void {
  const misses = new MissLimit(now)

  app.post(
    paths.selfGrants,
    {
      ...signedIn(sessions),
      schema: { body: putSelfGrants.body, response: { 200: putSelfGrants.reply } },
      bodyLimit: largest,
    },
    async (request) => {
      const accepted = await store.putSelfGrants(sessionOf(request).physician, request.body.records)
      const heads = await Promise.all(accepted.map((record) => store.chainHead(record)))
      watchers.notify(new Set(heads.flatMap((head) => head?.members ?? []).map((member) => member.physician)))
      return {}
    },
  )

  app.get(
    paths.invitations,
    { ...signedIn(sessions), schema: { querystring: readInvitations.query, response: { 200: readInvitations.reply } } },
    async (request) => {
      const { since, limit } = request.query
      return store.invitations(sessionOf(request).physician, since, limit)
    },
  )

  app.get(
    paths.username,
    {
      ...signedIn(sessions),
      schema: {
        params: readIdentity.usernameParams,
        querystring: readIdentity.query,
        response: { 200: readIdentity.reply },
      },
    },
    async (request, reply) => {
      const me = sessionOf(request).physician
      const waitMs = misses.waitMs(me)
      if (waitMs > 0) throw limited(waitMs, reply)
      const physician = await store.findPhysician(request.params.username)
      const identity = physician === null ? null : await store.readIdentity(physician, request.query.since)
      if (identity !== null) return identity
      misses.add(me)
      throw new AppError("NOT_ALLOWED")
    },
  )

  app.get(
    paths.physician,
    {
      ...signedIn(sessions),
      schema: {
        params: readIdentity.physicianParams,
        querystring: readIdentity.query,
        response: { 200: readIdentity.reply },
      },
    },
    async (request) => {
      const identity = await store.readIdentity(request.params.physician, request.query.since)
      if (identity === null) throw new AppError("NOT_ALLOWED")
      return identity
    },
  )
}
