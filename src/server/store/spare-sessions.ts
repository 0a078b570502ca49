import type { PhysicianId, SessionId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import type { Db } from "./connection.ts"
import type { NewSession, SessionStore, StoredSession } from "./store.ts"

/** Memory is the server's own: of more sessions the oldest go. */
const heldAtMost = 4096
const heldAtMostEach = 64

type Act = Parameters<SessionStore["startSession"]>[1]

interface Held {
  session: Omit<StoredSession, "suspended">
  readonly act: Act
}

export interface SpareSessions extends SessionStore {
  /** Ends a physician's sessions that are held in memory, but for one. */
  endHeld(physician: PhysicianId, but: SessionId | null): void
  /** Stores what could not be stored before, leaf and all. What still cannot stays as it is. */
  settle(): Promise<void>
}

/** Sessions where storage refuses: they are held in memory, without a leaf, so that physicians can sign in to read. What ends a session
 * ends it at once, whether that can be stored or not. */
export function spareSessions(stored: SessionStore, reader: Db): SpareSessions {
  /** By the hash of their secret, oldest first. */
  const held = new Map<string, Held>()
  /** Of stored sessions, what could not be stored: that they are over, or have no half any more. */
  const over = new Set<SessionId>()
  const locked = new Set<SessionId>()

  const find = (id: SessionId) => [...held.values()].find(({ session }) => session.id === id)
  const forget = (one: Held) => held.delete(one.session.tokenHash)
  const isSuspended = async (physician: PhysicianId) => {
    const row = reader.selectFrom("physician").select("suspended").where("id", "=", physician)
    return (await row.executeTakeFirstOrThrow()).suspended !== null
  }
  const shown = (session: StoredSession): StoredSession =>
    locked.has(session.id) ? { ...session, half: null } : session

  const hold = async (session: NewSession, act: Act) => {
    if (await isSuspended(session.physician)) throw new AppError("NOT_ALLOWED_SUSPENDED")
    const mine = [...held.values()].filter((one) => one.session.physician === session.physician)
    if (mine.length >= heldAtMostEach) forget(mine[0]!)
    if (held.size >= heldAtMost) held.delete(held.keys().next().value!)
    held.set(session.tokenHash, { session: { ...session, touched: session.created, proven: session.created }, act })
  }

  return {
    startSession: (session, act) =>
      stored.startSession(session, act).catch((error: unknown) => {
        if (!isFull(error)) throw error
        return hold(session, act)
      }),

    async findSession(tokenHash) {
      const one = held.get(tokenHash)
      if (one !== undefined) return { ...one.session, suspended: await isSuspended(one.session.physician) }
      const session = await stored.findSession(tokenHash)
      return session === null || over.has(session.id) ? null : shown(session)
    },

    async findPageSession(pageHash) {
      const one = [...held.values()].find(({ session }) => session.pageHash === pageHash)
      if (one !== undefined) return { ...one.session, suspended: await isSuspended(one.session.physician) }
      const session = await stored.findPageSession(pageHash)
      return session === null || over.has(session.id) ? null : shown(session)
    },

    async touchSession(id, time) {
      const one = find(id)
      if (one === undefined) await stored.touchSession(id, time)
      else one.session = { ...one.session, touched: time }
    },

    async dropHalf(id) {
      const one = find(id)
      if (one !== undefined) one.session = { ...one.session, half: null }
      else await unlessFull(stored.dropHalf(id), () => locked.add(id))
    },

    async endSession(id) {
      const one = find(id)
      if (one !== undefined) forget(one)
      else await unlessFull(stored.endSession(id), () => over.add(id))
    },

    async sessionsOf(physician) {
      const kept = (await stored.sessionsOf(physician)).filter(({ id }) => !over.has(id)).map(shown)
      const mine = [...held.values()].filter(({ session }) => session.physician === physician)
      const suspended = mine.length > 0 && (await isSuspended(physician))
      const spare = mine.map(({ session }) => ({ ...session, suspended }))
      return [...kept, ...spare].sort((a, b) => b.created - a.created)
    },

    async endSessionOf(physician, id) {
      const one = find(id)
      if (one !== undefined) return one.session.physician === physician && forget(one)
      try {
        return await stored.endSessionOf(physician, id)
      } catch (error) {
        const theirs = isFull(error) && (await stored.sessionsOf(physician)).some((session) => session.id === id)
        if (!theirs) throw error
        over.add(id)
        return true
      }
    },

    async purgeSessions(now, touchedBefore) {
      for (const one of held.values())
        if (one.session.expires <= now || one.session.touched <= touchedBefore) forget(one)
      await stored.purgeSessions(now, touchedBefore)
    },

    endHeld(physician, but) {
      for (const one of [...held.values()])
        if (one.session.physician === physician && one.session.id !== but) forget(one)
    },

    async settle() {
      for (const id of [...over]) await stored.endSession(id).then(() => over.delete(id))
      for (const id of [...locked]) await stored.dropHalf(id).then(() => locked.delete(id))
      for (const [name, { act }] of [...held]) {
        // It may have been touched, or have ended, meanwhile.
        const { session } = held.get(name) ?? {}
        if (session === undefined) continue
        await stored.startSession(session, act)
        held.delete(name)
      }
    },
  }
}

/** Whether storage, or a quota, refuses what would be written. */
export function isFull(error: unknown): boolean {
  return error instanceof AppError && (error.code === "UNAVAILABLE_STORAGE" || error.is("UNAVAILABLE_QUOTA"))
}

async function unlessFull(work: Promise<void>, otherwise: () => unknown): Promise<void> {
  await work.catch((error: unknown) => {
    if (!isFull(error)) throw error
    otherwise()
  })
}
