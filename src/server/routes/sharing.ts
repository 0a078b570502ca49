import { sha256 } from "#sha256"
import { equal } from "../../encoding/bytes.ts"
import { AppError } from "../../errors.ts"
import { readIdentity } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import { putSelfGrants, readInvitations, readSelfGrants } from "../../protocol/records.ts"
import { MissLimit } from "../miss-limit.ts"
import { demandAccount } from "../statements.ts"
import { type Api, jsonLimit, limited, type RouteContext, sessionOf, signedIn } from "./context.ts"

const largest = jsonLimit(65_536 + 600 * 108)

/** Colleagues: who they are, what they invite to, and taking an invitation up. */
export function sharingRoutes(app: Api, { store, sessions, watchers, turns, now }: RouteContext): void {
  const misses = new MissLimit(now)

  app.post(
    paths.selfGrants,
    {
      ...signedIn(sessions),
      schema: { body: putSelfGrants.body, response: { 200: putSelfGrants.reply } },
      bodyLimit: largest,
    },
    async (request) => {
      const { signed, tokens } = request.body
      const { physician } = sessionOf(request)
      const account = await demandAccount(store, physician, "self-grants", signed)
      const fits = (hash: Uint8Array, i: number) => tokens[i] !== undefined && equal(hash, sha256(tokens[i]))
      if (account.items.length !== tokens.length || !account.items.every(({ hash }, i) => fits(hash, i)))
        throw new AppError("BAD_INPUT_STATEMENT")
      const accepted = await store.putSelfGrants(physician, { account, signed, tokens })
      const heads = await Promise.all(accepted.map((record) => store.chainHead(record)))
      watchers.notify(new Set(heads.flatMap((head) => head?.members ?? []).map((member) => member.physician)))
      return {}
    },
  )

  app.get(
    paths.recordSelfGrants,
    {
      ...signedIn(sessions),
      schema: {
        params: readSelfGrants.params,
        querystring: readSelfGrants.query,
        response: { 200: readSelfGrants.reply },
      },
    },
    async (request) => {
      const { record } = request.params
      const { physician } = sessionOf(request)
      return { tokens: await turns.take(physician, () => store.selfGrants(physician, record, request.query.epoch)) }
    },
  )

  app.get(
    paths.invitations,
    { ...signedIn(sessions), schema: { querystring: readInvitations.query, response: { 200: readInvitations.reply } } },
    async (request) => {
      const { physician } = sessionOf(request)
      return turns.take(physician, () => store.invitations(physician, request.query))
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
