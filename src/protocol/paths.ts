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
  segments: "/api/segments",
  segment: "/api/segments/:segment",
  changes: "/api/changes",
  entries: "/api/records/:record/entries",
  acts: "/api/records/:record/acts",
  recordActivity: "/api/records/:record/activity",
  accepted: "/api/records/:record/accepted",
  selfGrants: "/api/self-grants",
  invitations: "/api/invitations",
  events: "/api/events",
  prefixes: "/api/log/prefixes",
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

/** Set on requests that nobody's hand caused, such as polling: they do not keep a session alive. */
export const backgroundHeader = "x-healthcrypt-background"
/** Names the session that the client believes it is in: a cookie is shared by all tabs, and another tab may have signed in since. */
export const sessionHeader = "x-healthcrypt-session"
export const sessionCookie = "healthcrypt"
