/** What the form for sharing holds, and where it stands: so that the way over a colleague's verification leads back to it. */

import type { Role } from "../client/views.ts"
import { dayOf } from "../clinical/days.ts"
import { showDay } from "./dates.ts"
import type { RecordId } from "./record-id.ts"

export interface ShareDraft {
  readonly username: string
  readonly role: Role
  /** YYYY-MM-DD, or "" for no end. */
  readonly until: string
}

/** With whom, as what, and until when in milliseconds since 1970. */
export interface ShareOrder {
  readonly username: string
  readonly role: Role
  readonly until: number | null
}

export type WayBack =
  | { readonly to: "/records/$id/sharing"; readonly id: RecordId; readonly draft: ShareDraft }
  | { readonly to: "/share"; readonly draft: ShareDraft }
  | { readonly to: "/invitations" }

export const emptyShare: ShareDraft = { username: "", role: "reader", until: "" }

export const roles: readonly { readonly role: Role; readonly label: string; readonly may: string }[] = [
  { role: "reader", label: "Reader", may: "reads the record" },
  { role: "writer", label: "Writer", may: "reads it and writes in it" },
  { role: "owner", label: "Owner", may: "reads, writes and decides who else may" },
]

/** The form as it was when this was asked. */
export function draftOf({ username, role, until }: ShareOrder): ShareDraft {
  return { username, role, until: until === null ? "" : dayOf(until) }
}

/** "with beta as writer, until 31 Dec 2040" */
export function termsOf({ username, role, until }: ShareOrder): string {
  return `with ${username} as ${role}${until === null ? "" : `, until ${showDay(until)}`}`
}
