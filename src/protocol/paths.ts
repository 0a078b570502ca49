import type { PhysicianId, RecordId, SegmentId, SessionId } from "../encoding/ids.ts"

/** Every address of the server, as route patterns. Only ids stand in them. */
export const paths = {
  practice: "/api/practice",
  registerStart: "/api/register/start",
  registerFinish: "/api/register/finish",
  loginStart: "/api/login/start",
  loginFinish: "/api/login/finish",
  loginAbandon: "/api/login/abandon",
  recoverStart: "/api/recover/start",
  recoverFinish: "/api/recover/finish",
  session: "/api/session",
  sessionHalf: "/api/session/half",
  unlocksStart: "/api/unlocks/start",
  unlocks: "/api/unlocks",
  keyring: "/api/keyring",
  profile: "/api/profile",
  formerAccount: "/api/account/former",
  segments: "/api/segments",
  segment: "/api/segments/:segment",
  changes: "/api/changes",
  entries: "/api/records/:record/entries",
  body: "/api/records/:record/entries/:seq/body",
  acts: "/api/records/:record/acts",
  recordActivity: "/api/records/:record/activity",
  accepted: "/api/records/:record/accepted",
  selfGrants: "/api/self-grants",
  recordSelfGrants: "/api/records/:record/self-grants",
  invitations: "/api/invitations",
  events: "/api/events",
  prefixes: "/api/log/prefixes",
  leaves: "/api/log/leaves",
  successions: "/api/log/successions",
  username: "/api/usernames/:username",
  physician: "/api/physicians/:physician",
  activity: "/api/activity",
  sessions: "/api/sessions",
  otherSession: "/api/sessions/:session",
  checkpoint: "/log/checkpoint",
  /** C2SP tlog-tiles: `/log/tile/<level>/<index>`, `/log/tile/entries/<index>`. */
  tile: "/log/tile/*",
} as const

export function entriesPath(record: RecordId): string {
  return paths.entries.replace(":record", record)
}

export function bodyPath(record: RecordId, seq: number): string {
  return paths.body.replace(":record", record).replace(":seq", String(seq))
}

export function recordSelfGrantsPath(record: RecordId): string {
  return paths.recordSelfGrants.replace(":record", record)
}

export function acceptedPath(record: RecordId): string {
  return paths.accepted.replace(":record", record)
}

export function actsPath(record: RecordId): string {
  return paths.acts.replace(":record", record)
}

export function recordActivityPath(record: RecordId): string {
  return paths.recordActivity.replace(":record", record)
}

/** A username holds nothing that an address would have to escape. */
export function usernamePath(username: string): string {
  return paths.username.replace(":username", username)
}

export function physicianPath(physician: PhysicianId): string {
  return paths.physician.replace(":physician", physician)
}

export function otherSessionPath(session: SessionId): string {
  return paths.otherSession.replace(":session", session)
}

export function segmentPath(segment: SegmentId): string {
  return paths.segment.replace(":segment", segment)
}

/** Says which protocol a client speaks; version 0.2 sends none. */
export const protocolHeader = "x-healthcrypt-protocol"
export const protocolVersion = "3"
/** Set on requests that nobody's hand caused, such as polling: they do not keep a session alive. */
export const backgroundHeader = "x-healthcrypt-background"
/** Names the session that the client believes it is in: a cookie is shared by all tabs, and another tab may have signed in since. */
export const sessionHeader = "x-healthcrypt-session"
/** Carries the page's secret. A cookie is sent to every port of a host; this is sent by our own page alone, and no page of another origin
 * can set it without being asked for it first. */
export const pageHeader = "x-healthcrypt-page"
/** Set on every answer while the server can store nothing: the server's word, shown as such. */
export const readOnlyHeader = "x-healthcrypt-read-only"
