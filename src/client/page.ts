import type { RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { currentSession, getKeyring } from "../protocol/accounts.ts"
import { paths } from "../protocol/paths.ts"
import { changePassword, checkPassword, demandConfirmed, practiceOf, renewWords, type WayByWords } from "./account.ts"
import { lookBack } from "./after-restore.ts"
import { Awaiting } from "./awaiting.ts"
import { listen } from "./events.ts"
import { HomeList } from "./home.ts"
import { inTime } from "./in-time.ts"
import { countInvitations } from "./invitations.ts"
import { Drafts, forgetPageSecret, forgetSessions, recallKey, recallPageSecret, rememberSession } from "./remembered.ts"
import { endsMore, Resending } from "./resending.ts"
import { lostAsText, sendAgain } from "./send-again.ts"
import { Session, type Surroundings } from "./session.ts"
import type { ClientStorage } from "./storage.ts"
import { viewRefused, viewTampered } from "./tampered.ts"
import { fetchSend, fetchStream, noting, Transport } from "./transport.ts"
import { settleUnheard } from "./unheard.ts"
import type { Account, AfterRestore, ClientEvent, RecoverySheet, TamperedView } from "./views.ts"
import { type Workspace, workspaceOf } from "./workspace.ts"

export interface PageEnv {
  /** Such as https://practice.example:5000 */
  readonly baseUrl: string
  readonly fetch: typeof fetch
  readonly storage: ClientStorage
  readonly now: () => number
  /** What this browser is called in the physician's list of devices. */
  readonly deviceLabel: string
}

const pollMs = 10_000
/** While events come, asking by the clock is only for what they missed. */
const pollBesideEventsMs = 60_000
const idleCheckMs = 5_000
/** All heads are kept for a restore this often. */
const keepMs = 60_000
const rememberMs = 1_000
/** The server is told of activity at most this often. */
const keepAliveMs = 60_000

interface SignedIn extends Workspace {
  readonly list: HomeList
  readonly awaiting: Awaiting
  readonly drafts: Drafts
  readonly resending: Resending
  /** Settles when the roster is open and up to date. */
  ready: Promise<void>
  /** The server was lost while the roster was opened. */
  failed: boolean
}

/** What opened a session at a server that was put back. */
interface WayIn {
  password: string
  /** Sets that password, where the recovery words have opened it. */
  readonly finish?: WayByWords["finish"]
}

type RestoredAccount = Extract<Account, { state: "restored" }>

/** The worker's whole state: one physician at most. */
export class Page {
  readonly #env: PageEnv
  #around: Surroundings
  readonly #listeners = new Set<(event: ClientEvent) => void>()
  #account: Account = { state: "signed-out" }
  #work: SignedIn | null = null
  /** Signed in at a server that was put back to an earlier state: the physician is asked first. */
  #asking: (Workspace & WayIn) | null = null
  #tampered: TamperedView | null = null
  #online = true
  #readOnly = false
  /** Whether part of the log could not be looked at, because the server did not answer. */
  #unlooked = false
  #lastActive = 0
  #lastKeptAlive = 0
  #remembering: ReturnType<typeof setTimeout> | null = null
  /** Work on many things that can be stopped: an import, or sharing. */
  readonly #running = new Set<{ aborted: boolean }>()
  #polled = 0
  #polling = false
  #pollAgain = false
  /** Ends listening to the server's events. */
  #ears: AbortController | null = null
  #hearing = false
  #invitations = 0
  #kept = 0
  /** The roster's version that the page was last told of here. */
  #shown = -1

  constructor(env: PageEnv) {
    this.#env = env
    const send = noting(fetchSend(env.baseUrl, env.fetch), (reached, readOnly) => {
      this.#setOnline(reached)
      if (reached) this.#setReadOnly(readOnly)
    })
    const transport = new Transport(send, fetchStream(env.baseUrl, env.fetch))
    this.#around = { transport, storage: env.storage, carrier: "cookie", now: env.now, deviceLabel: env.deviceLabel }
    setInterval(() => void this.#checkIdle(), idleCheckMs)
    setInterval(() => {
      const every = this.#hearing && !this.#unlooked ? pollBesideEventsMs : pollMs
      if (env.now() - this.#polled >= every) void this.#poll()
    }, pollMs)
  }

  listen(listener: (event: ClientEvent) => void): void {
    this.#listeners.add(listener)
  }

  get work(): SignedIn {
    if (this.#work === null) throw new AppError("NOT_ALLOWED_SESSION")
    return this.#work
  }

  get account(): Account {
    return this.#account
  }

  /** What the next session stands in: it gets a transport of its own, which ends with it. The page's secret is that of the session that
   * this browser has so far, in whichever tab it began. */
  async around(): Promise<Surroundings> {
    const transport = this.#around.transport.another()
    transport.page = await recallPageSecret(this.#env.storage)
    this.#around = { ...this.#around, transport }
    return this.#around
  }

  get now(): number {
    return this.#env.now()
  }

  /** Runs what the page asked for, and turns what went wrong into the state that the page has to show. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work()
      if (this.#work !== null) this.#rememberSoon(this.#work)
      return result
    } catch (error) {
      if (error instanceof AppError) this.#notice(error)
      throw error
    } finally {
      // What was written before a failure counts as well.
      void (this.#work ?? this.#asking)?.session.kept.flush()
    }
  }

  async restore(): Promise<Account> {
    if (this.#work !== null) return this.#account
    const around = await this.around()
    try {
      const account = await around.transport.call("GET", paths.session, { reply: currentSession.reply })
      const key = await recallKey(this.#env.storage, account)
      if (key === null) return this.#set({ state: "locked", username: account.username, reason: "reload" })
      const practice = await practiceOf(around)
      const session = await Session.stand(around, practice, account, key)
      if (session.restoration?.confirmed !== true) return await this.enter(session)
      // What the restore took back is shown first, and a way to unlock may have to be replaced: both begin with the password.
      session.wipe()
      await forgetSessions(this.#env.storage)
      await around.transport.call("DELETE", paths.sessionHalf, { background: true }).catch(() => {})
      return this.#set({ state: "locked", username: account.username, reason: "reload" })
    } catch (error) {
      if (error instanceof AppError && isOver(error)) {
        await forgetSessions(this.#env.storage)
        await forgetPageSecret(this.#env.storage, around.transport.page)
        return this.#set({ state: "signed-out" })
      }
      throw error
    }
  }

  /** Enters, or shows first what a restore of the server takes back: also where another device has confirmed it, and this one holds or has seen
   * what is lost. @param password that opened the session */
  async enterOrAsk(session: Session, password: string): Promise<Account> {
    const account = await this.#ask(session, { password })
    return account === null ? this.enter(session) : this.#set(account)
  }

  /** Sets a new password and enters, or shows first what a restore of the server takes back, as {@link Page.enterOrAsk} does.
   * @returns the new words; `null` where the physician is asked first */
  async recoverOrAsk({ session, finish }: WayByWords, password: string): Promise<RecoverySheet | null> {
    const account = session.restoration === null ? null : await this.#ask(session, { password, finish })
    if (account !== null) {
      this.#set(account)
      return null
    }
    const sheet = await finish(password)
    await this.enter(session).catch(() => {})
    return sheet
  }

  /** Holds a server that was put back to what this device has kept. Nothing is stored, and nobody is let in, before that is done.
   * @returns null where there is nothing to ask or to tell */
  async #ask(session: Session, way: WayIn): Promise<RestoredAccount | null> {
    const { restoration, around } = session
    if (restoration === null && around.transport.hold === null) return null
    const { work, back } = await lookBack(session).catch((error: unknown) => {
      session.wipe()
      throw error
    })
    void session.kept.keepHeads(work.roster)
    if (around.transport.hold === null && back.own === 0 && back.records.length === 0) return null
    this.#asking = { ...work, ...way }
    this.#lastActive = this.now
    // After the words both are set anew, whichever was changed since.
    const renew = way.finish === undefined ? back.renew : []
    const confirmed = restoration?.confirmed !== false
    return { state: "restored", username: session.username, confirmed, back: { ...back, renew } }
  }

  /** @throws BAD_INPUT_RESTORE_CODE, BAD_INPUT_PASSWORD: nothing has changed then */
  async confirmRestore(code: string, newPassword: string): Promise<AfterRestore> {
    const asking = this.#asked
    const { session, finish } = asking
    if (finish === undefined && session.pins.renew.includes("password")) checkPassword(newPassword)
    await session.confirmRestore(code)
    const sheet = finish === undefined ? await this.#renew(asking, newPassword) : await finish(asking.password)
    try {
      return { sent: await sendAgain(asking), sheet, waits: await new Awaiting(asking).list() }
    } catch (error) {
      if (sheet === null && endsMore(error)) throw error
      // The restore is confirmed, and words that count from now on are shown, whatever becomes of the rest: it is sent when the page goes on.
      if (error instanceof AppError) this.#notice(error)
      return { sent: null, sheet, waits: [] }
    } finally {
      void session.kept.keepHeads(asking.roster)
      this.#lastActive = this.now
    }
  }

  /** Changes again what was changed since the backup. */
  async #renew(asking: Workspace & WayIn, newPassword: string): Promise<RecoverySheet | null> {
    const { session } = asking
    if (session.pins.renew.includes("password")) {
      await changePassword(session, asking.password, newPassword)
      asking.password = newPassword
    }
    return session.pins.renew.includes("recovery") ? renewWords(session, asking.password) : null
  }

  lostToRestore(): Promise<string | null> {
    return lostAsText(this.#work ?? this.#asked)
  }

  get #asked(): Workspace & WayIn {
    if (this.#asking === null) throw new AppError("NOT_ALLOWED_SESSION")
    return this.#asking
  }

  async enterRestored(): Promise<Account> {
    const asking = this.#asking
    if (asking === null || asking.session.around.transport.hold !== null) throw new AppError("NOT_ALLOWED_SESSION")
    this.#asking = null
    return this.enter(asking.session)
  }

  /** Stands on a session that was just verified, and opens the roster in the background. Whatever let somebody in, it ends here where the
   * server was put back and nobody has confirmed it. @throws as {@link demandConfirmed} */
  async enter(session: Session): Promise<Account> {
    demandConfirmed(session)
    await rememberSession(session)
    const work = workspaceOf(session)
    const awaiting = new Awaiting(work)
    const signedIn: SignedIn = {
      ...work,
      list: new HomeList(work, awaiting),
      awaiting,
      drafts: new Drafts(session),
      resending: new Resending(work, awaiting, (unsent) => this.emit({ type: "unsent", unsent })),
      ready: Promise.resolve(),
      failed: false,
    }
    this.#work = signedIn
    this.#tampered = null
    this.#invitations = 0
    this.#lastActive = this.now
    this.#begin(signedIn)
    return this.showAccount()
  }

  #begin(work: SignedIn): void {
    work.failed = false
    work.ready = this.#openRoster(work)
    work.ready.catch(() => {
      work.failed = true
    })
    void this.#settleIn(work)
  }

  showAccount(): Account {
    const { session } = this.work
    return this.#set({
      state: "signed-in",
      username: session.username,
      firstName: session.firstName,
      lastName: session.lastName,
      idleMinutes: session.keyring.settings.idleMinutes,
      wordsConfirmed: session.keyring.settings.wordsConfirmed,
    })
  }

  async #openRoster(work: SignedIn): Promise<void> {
    try {
      await work.roster.load((opened, total) => this.emit({ type: "roster", opened, total, complete: false }))
      if (work.roster.rows.size > 0) this.#emitRoster(work)
      const synced = work.roster.sync()
      synced.catch(() => {})
      // The question is on its way: the index is built while the server answers, and what is new is searched besides it.
      await new Promise((next) => setTimeout(next))
      work.list.prepare()
      await synced
      this.#emitRoster(work)
      this.#listen(work)
    } catch (error) {
      if (error instanceof AppError) this.#notice(error)
      throw error
    }
  }

  /** What follows once the roster is there. Nobody waits for it, and what fails of it is done with the next pull. */
  async #settleIn(work: SignedIn): Promise<void> {
    try {
      await work.ready
      // What another device confirmed, or an owner has confirmed since.
      if (work.resending.isOwed) await this.#sendAgain(work)
      await settleUnheard(work)
      await this.#meet(work)
      await this.countInvitations()
      await work.roster.fold()
      await this.#looked(work)
      await work.session.saveNews()
      this.#rememberSoon(work)
    } catch (error) {
      if (error instanceof AppError && this.#work === work) this.#notice(error)
    }
  }

  /** What cannot be sent now is tried again with the next pull, and holds up nothing else. */
  async #sendAgain(work: SignedIn): Promise<void> {
    try {
      await work.resending.run()
    } catch (error) {
      if (endsMore(error)) throw error
      if (this.#work === work) this.#notice(error as AppError)
    } finally {
      if (this.#work === work) this.#emitRoster(work)
    }
  }

  /** What a physician's writing waits for: also where a colleague has confirmed a record since that entries wait for. */
  async toWrite(): Promise<SignedIn> {
    const { work } = this
    await work.ready.catch(() => {})
    await work.resending.settled()
    return this.work
  }

  /** Waits until every leaf was looked at, and shows what that found: entries that are withheld, also where a question stayed open. */
  async #looked(work: SignedIn): Promise<void> {
    const { roster } = work
    const [look] = await Promise.allSettled([roster.looked()])
    if (this.#work !== work) return
    const unlooked = look.status === "rejected"
    if (unlooked !== this.#unlooked) this.emit({ type: "looked", looked: !unlooked })
    this.#unlooked = unlooked
    if (roster.version !== this.#shown) {
      for (const id of roster.owed.keys()) this.emit({ type: "record", id })
      this.#emitRoster(work)
    }
    if (unlooked) throw look.reason
  }

  /** Hears of changes as they happen. */
  #listen(work: SignedIn): void {
    const ears = new AbortController()
    this.#ears = ears
    this.#hearing = true
    const { transport } = work.session.around
    void listen(transport, () => void this.#poll(), ears.signal).finally(() => {
      if (this.#ears === ears) this.#hearing = false
    })
  }

  /** Learns what the colleagues who share a record are called, and shows it. */
  async #meet(work: SignedIn): Promise<void> {
    if (await work.session.people.meet(work.list.sharers())) this.#emitRoster(work)
  }

  /** Tells the page how many invitations wait, where that has changed. */
  async countInvitations(): Promise<void> {
    const work = this.#work
    if (work === null) return
    const count = await countInvitations(work)
    if (this.#work !== work || count === this.#invitations) return
    this.#invitations = count
    this.emit({ type: "invitations", count })
  }

  async activity(): Promise<void> {
    this.#lastActive = this.now
    const open = this.#work ?? this.#asking
    if (open === null || this.now - this.#lastKeptAlive < keepAliveMs) return
    this.#lastKeptAlive = this.now
    await this.run(() => open.session.around.transport.call("GET", paths.keyring, { reply: getKeyring.reply }))
  }

  /** Wipes this worker and the server's half; the session stays, and the password opens it again. Who is still asked about a restore is
   * signed out. */
  async lock(reason: "idle" | "asked"): Promise<void> {
    const work = this.#work
    if (work === null) return this.#asking === null ? undefined : this.signOut()
    const { transport } = work.session.around
    await this.#leave(work, { state: "locked", username: work.session.username, reason }, () =>
      transport.call("DELETE", paths.sessionHalf, { background: true }),
    )
  }

  async signOut(): Promise<void> {
    const [work, asking] = [this.#work, this.#asking]
    this.#asking = null
    if (work === null) this.#set({ state: "signed-out" })
    if (asking !== null) {
      await this.#keep(asking)
      // What was sent again after a restore counts, once that is confirmed.
      if (asking.session.around.transport.hold === null) await inTime(asking.roster.bind())
      asking.session.wipe()
    }
    if (work !== null) {
      await this.#leave(work, { state: "signed-out" }, () => work.session.end())
      return forgetPageSecret(this.#env.storage, work.session.around.transport.page)
    }
    const { transport } = await this.around()
    await forgetSessions(this.#env.storage)
    await inTime(transport.call("DELETE", paths.session))
    await forgetPageSecret(this.#env.storage, transport.page)
    if (asking !== null) this.emit({ type: "wiped" })
  }

  /** Runs work that `cancel` stops at the next step. */
  async stoppable<T>(work: (signal: { readonly aborted: boolean }) => Promise<T>): Promise<T> {
    const signal = { aborted: false }
    this.#running.add(signal)
    try {
      return await work(signal)
    } finally {
      this.#running.delete(signal)
    }
  }

  cancel(): void {
    for (const signal of this.#running) signal.aborted = true
  }

  async tampered(id: RecordId | null): Promise<TamperedView | null> {
    return id === null || this.#work === null ? this.#tampered : viewRefused(this.#work, id)
  }

  emit(event: ClientEvent): void {
    for (const listener of this.#listeners) listener(event)
  }

  /** Ends all work of a session, says goodbye for as long as that takes no longer than a moment, and wipes.
   * The page shows nothing of the session any more from the first line on. */
  async #leave(work: SignedIn, next: Account, goodbye: () => Promise<unknown>): Promise<void> {
    this.#work = null
    this.cancel()
    this.#ears?.abort()
    this.#ears = null
    clearTimeout(this.#remembering ?? undefined)
    this.#remembering = null
    this.#set(next)
    await this.#keep(work)
    await inTime(work.roster.bind())
    await inTime(goodbye())
    work.session.wipe()
    await forgetSessions(this.#env.storage).catch(() => {})
    this.emit({ type: "wiped" })
  }

  /** Stores what this device remembers beyond a session. */
  async #keep({ session, roster }: Workspace): Promise<void> {
    await inTime(session.kept.keepHeads(roster))
    await inTime(session.kept.flush())
    await inTime(session.pins.save())
  }

  /** Pulls what is new. Asked while it is pulling, it pulls once more afterwards. */
  async #poll(): Promise<void> {
    const work = this.#work
    if (work?.failed) this.#begin(work)
    if (work === null || !work.roster.isComplete) return
    if (this.#polling) {
      this.#pollAgain = true
      return
    }
    this.#polling = true
    this.#polled = this.now
    try {
      do {
        this.#pollAgain = false
        await this.#pull(work)
      } while (this.#pollAgain && this.#work === work)
    } catch (error) {
      if (error instanceof AppError && this.#work === work) this.#notice(error)
    } finally {
      this.#polling = false
    }
  }

  async #pull(work: SignedIn): Promise<void> {
    const changed = await work.roster.sync(true)
    if (this.#work !== work) return
    if (changed.length > 0) {
      for (const id of changed) if (!work.roster.rows.has(id)) work.records.forget(id)
      for (const id of changed) this.emit({ type: "record", id })
      this.#emitRoster(work)
      await this.#meet(work)
      await work.awaiting.look()
      await work.roster.fold()
    }
    await settleUnheard(work)
    if (work.resending.isOwed) await this.#sendAgain(work)
    await this.countInvitations()
    await this.#looked(work)
    this.#rememberSoon(work)
  }

  /** Stores what was seen, once for everything that happens within a second. */
  #rememberSoon(work: SignedIn): void {
    this.#remembering ??= setTimeout(() => {
      this.#remembering = null
      if (this.#work !== work) return
      if (this.now - this.#kept > keepMs) {
        this.#kept = this.now
        void work.session.kept.keepHeads(work.roster)
      }
      work.session.remember().catch((error) => {
        if (error instanceof AppError) this.#notice(error)
      })
    }, rememberMs)
  }

  async #checkIdle(): Promise<void> {
    const open = this.#work ?? this.#asking
    if (open === null) return
    if (this.now - this.#lastActive >= open.session.keyring.settings.idleMinutes * 60_000) await this.lock("idle")
  }

  #notice(error: AppError): void {
    const work = this.#work
    if (isOver(error) && work !== null) {
      const reason = error.code === "NOT_ALLOWED_SUSPENDED" ? "suspended" : "ended"
      const locked = { state: "locked", username: work.session.username, reason } as const
      void this.#leave(work, locked, async () => {})
    }
    const refusal = work?.session.log.refusal ?? null
    const ofTheWhole = refusal !== null || (work === null && error.is("TAMPERED"))
    if (!ofTheWhole || this.#tampered !== null) return
    this.#tampered = viewTampered(refusal?.error.code ?? error.code, null, null, this.now, refusal)
    this.emit({ type: "tampered", view: this.#tampered })
  }

  #emitRoster(work: SignedIn): void {
    this.#shown = work.roster.version
    const opened = work.roster.rows.size
    this.emit({ type: "roster", opened, total: opened, complete: work.roster.isComplete })
  }

  /** That the server does not answer is said every time: the page may have hoped meanwhile. */
  #setOnline(online: boolean): void {
    if (online && this.#online) return
    this.#online = online
    this.emit({ type: "connection", online })
  }

  #setReadOnly(readOnly: boolean): void {
    if (readOnly === this.#readOnly) return
    this.#readOnly = readOnly
    this.emit({ type: "storage", readOnly })
  }

  #set(account: Account): Account {
    this.#account = account
    this.emit({ type: "account", account })
    return account
  }
}

/** Whether the server has ended the session. */
function isOver({ code }: AppError): boolean {
  return code === "NOT_ALLOWED_SESSION" || code === "NOT_ALLOWED_SUSPENDED"
}
