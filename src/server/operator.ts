import { randomBytes } from "node:crypto"
import { z } from "zod"
import { sha256 } from "#sha256"
import { encodeBase64url } from "../encoding/base64.ts"
import { encodeHex } from "../encoding/bytes.ts"
import { AppError, errors } from "../errors.ts"
import { usernamePattern } from "../proof/identity.ts"
import type { PracticeReply } from "../protocol/accounts.ts"
import { encodeInvite, inviteCodeBytes, inviteLink } from "../protocol/invite.ts"
import type { RouteContext } from "./routes/context.ts"

const dayMs = 24 * 3_600_000
export const longestInviteDays = 90

const username = z.string().regex(usernamePattern)

/** What whoever runs the server asks it. */
export const operatorRequest = z.discriminatedUnion("do", [
  z.strictObject({
    do: z.literal("invite"),
    days: z.int().min(1).max(longestInviteDays),
    /** Under which whoever is invited reaches the server; left out, the one that it prints at start. */
    url: z.url({ protocol: /^https?$/ }).optional(),
  }),
  z.strictObject({ do: z.literal("list") }),
  z.strictObject({ do: z.literal("suspend"), username }),
  z.strictObject({ do: z.literal("resume"), username }),
])

const moment = z.int()

/** What each is answered with. */
export const operatorReplies = {
  invite: z.object({
    link: z.string(),
    code: z.string(),
    origin: z.string(),
    logKey: z.string(),
    expires: moment,
    registration: z.enum(["open", "invited"]),
  }),
  list: z.object({
    accounts: z.array(
      z.object({
        username: z.string(),
        created: moment,
        suspended: moment.nullable(),
        lastSignIn: moment.nullable(),
      }),
    ),
    invites: z.array(z.object({ created: moment, expires: moment })),
  }),
  /** Whether that changed anything. */
  suspend: z.object({ changed: z.boolean() }),
  resume: z.object({ changed: z.boolean() }),
} as const

/** A refusal comes with its words: who runs the server believes it. */
export const operatorRefusal = z.object({
  code: z.enum(Object.keys(errors) as [keyof typeof errors]),
  message: z.string(),
})

export type OperatorRequest = z.output<typeof operatorRequest>
export type OperatorReply<Do extends OperatorRequest["do"]> = z.output<(typeof operatorReplies)[Do]>

export interface Operator {
  /** @param url the server's own address; null where it does not know it. @throws AppError with what to do */
  answer(request: OperatorRequest, url: string | null): Promise<OperatorReply<OperatorRequest["do"]>>
}

/** Does what whoever runs the server asks. Nothing here reads a record, and each act is in the log. */
export function operatorOf({ store, watchers, now }: RouteContext, about: PracticeReply): Operator {
  const invite = async (days: number, url: string | null): Promise<OperatorReply<"invite">> => {
    const { registration } = about
    if (registration === "closed")
      throw new AppError(
        "NOT_ALLOWED_REGISTRATION",
        "This server runs with --registration closed, so nobody can sign up. Start it with --registration invited first.",
      )
    if (url === null)
      throw new AppError(
        "BAD_INPUT_FORMAT",
        "Behind a proxy the server does not know its own address. Name it with --url https://….",
      )
    const invite = { code: new Uint8Array(randomBytes(inviteCodeBytes)), logKey: about.logKey, origin: about.origin }
    const expires = now() + days * dayMs
    await store.invite(hashOfCode(invite.code), expires)
    const logKey = encodeHex(about.logKey)
    const link = inviteLink(url, invite)
    return { link, code: encodeInvite(invite), origin: about.origin, logKey, expires, registration }
  }

  return {
    async answer(request, url) {
      switch (request.do) {
        case "invite":
          return invite(request.days, request.url ?? url)
        case "list":
          return { accounts: await store.accounts(), invites: await store.openInvites() }
        case "suspend": {
          const physician = await store.suspend(request.username)
          if (physician !== null) watchers.dismiss(physician)
          return { changed: physician !== null }
        }
        case "resume":
          return { changed: (await store.resume(request.username)) !== null }
      }
    },
  }
}

/** What is stored of an invitation's code. */
export function hashOfCode(code: Uint8Array): string {
  return encodeBase64url(sha256(code))
}
