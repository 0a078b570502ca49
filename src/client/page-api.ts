import { exportBundle, exportParts, partName } from "../clinical/export.ts"
import type { RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import {
  changePassword,
  checkPassword,
  confirmWords,
  loadOpaque,
  register,
  registrationOf,
  renewWords,
  reopenAnyway,
  signInAnyway,
  wayByWords,
} from "./account.ts"
import { accountActivity, endSession, listDevices, listSessions, recordActivity } from "./activity.ts"
import { archiveRecord, createPatient, savePatient } from "./edits.ts"
import { acceptInvitations, declineInvitations, listInvitations } from "./invitations.ts"
import { Page, type PageEnv } from "./page.ts"
import { history, namedIn, viewRecord } from "./record-views.ts"
import { rememberSession } from "./remembered.ts"
import { confirmMany, confirmMembers, leave, share, stopsHere, unshare, viewSharing } from "./sharing.ts"
import type { PageApi } from "./views.ts"
import { todayOf } from "./workspace.ts"

/** What the worker answers the page with. */
export function createPageApi(env: PageEnv): PageApi {
  const page = new Page(env)
  const run = <T>(work: () => Promise<T>) => page.run(work)
  const changed = (id: RecordId) => {
    page.emit({ type: "record", id })
    const opened = page.work.roster.rows.size
    page.emit({ type: "roster", opened, total: opened, complete: page.work.roster.isComplete })
  }
  return {
    restore: () => run(() => page.restore()),
    subscribe: async (listener) => page.listen(listener),
    registration: () => run(async () => registrationOf(await page.around())),
    register: (account) =>
      run(async () => {
        const { sheet, enter } = await register(await page.around(), account)
        // The words are shown whatever comes of the first session: without one, the physician signs in.
        await enter()
          .then((session) => page.enter(session))
          .catch(() => {})
        return sheet
      }),
    confirmWords: () =>
      run(async () => {
        await confirmWords(page.work.session, true)
        page.showAccount()
      }),
    prepareSignIn: async () => void (await loadOpaque()),
    signIn: (username, password) =>
      run(async () => page.enterOrAsk(await signInAnyway(await page.around(), username, password), password)),
    active: () => page.activity(),
    lock: () => page.lock("asked"),
    signOut: () => page.signOut(),
    reopen: (username, password) =>
      run(async () => page.enterOrAsk((await reopenAnyway(await page.around(), username, password)).session, password)),
    confirmRestore: (code, newPassword) => run(() => page.confirmRestore(code, newPassword)),
    lostToRestore: () => run(() => page.lostToRestore()),
    dismissUnsent: (keys) => run(() => page.work.resending.dismiss(keys)),
    enterRestored: () => run(() => page.enterRestored()),
    recover: (username, words, password, former) =>
      run(async () => {
        checkPassword(password)
        return page.recoverOrAsk(await wayByWords(await page.around(), username, words, former), password)
      }),
    changePassword: (current, next) =>
      run(async () => {
        await changePassword(page.work.session, current, next)
        await rememberSession(page.work.session)
      }),
    newWords: (password) =>
      run(async () => {
        const { session } = page.work
        const sheet = await renewWords(session, password)
        await rememberSession(session).catch(() => {})
        page.showAccount()
        return sheet
      }),
    setIdleMinutes: (minutes) =>
      run(async () => {
        const idleMinutes = Math.min(15, Math.max(1, Math.round(minutes)))
        await page.work.session.updateKeyring((keyring) => ({
          ...keyring,
          settings: { ...keyring.settings, idleMinutes },
        }))
        page.showAccount()
      }),
    home: async (query) => page.work.list.page(query, page.work.roster.isComplete, todayOf(page.work.session)),
    record: (id, seq) =>
      run(async () => {
        const { records } = page.work
        await page.work.ready
        const record = await records.open(id)
        records.act(id, "read").catch(() => {})
        await page.work.session.people.meet(namedIn(record))
        return viewRecord(page.work, record, seq ?? record.head.seq)
      }),
    history: (id) => run(() => history(page.work, id)),
    namesakes: async (fields) => {
      await page.work.ready
      return page.work.list.namesakes(fields)
    },
    create: (fields) =>
      run(async () => {
        await page.work.ready
        const saved = await createPatient(page.work, fields)
        changed(saved.id)
        return saved
      }),
    save: (id, base, fields) =>
      run(async () => {
        const saved = await savePatient(await page.toWrite(), id, base, fields)
        if (saved.saved) changed(id)
        return saved
      }),
    resolve: (id, base, fields, head, choices) =>
      run(async () => {
        const saved = await savePatient(await page.toWrite(), id, base, fields, { head, choices })
        if (saved.saved) changed(id)
        return saved
      }),
    archive: (id, archived) =>
      run(async () => {
        await archiveRecord(await page.toWrite(), id, archived)
        changed(id)
      }),
    importFile: (name, bytes, progress, among) =>
      run(async () => {
        const tick = (resourcesDone: number, resourcesTotal: number) =>
          progress({ file: name, filesDone: 0, filesTotal: 1, resourcesDone, resourcesTotal })
        const report = await page.stoppable(async (signal) => {
          const [{ importFile }, work] = await Promise.all([import("./imports.ts"), page.toWrite()])
          return importFile(work, name, bytes, tick, signal, among)
        })
        for (const { id } of report.records) changed(id)
        return report
      }),
    exportRecord: (id) =>
      run(async () => {
        const record = await page.work.records.open(id)
        await page.work.records.act(id, "export")
        const parts = await exportParts(record.chart)
        // They are the physician's own; their names give away no more than the record's id.
        const nameOf = (at: number) => partName(`record-${id}.json`, at)
        const type = "application/fhir+json"
        return parts.map((keys, at) => new File([exportBundle(record.chart, keys)], nameOf(at), { type }))
      }),
    resource: (id, key) =>
      run(async () => {
        const text = (await page.work.records.open(id)).chart.resources.get(key)
        if (text === undefined) throw new AppError("NOT_ALLOWED")
        return text
      }),
    keepDraft: (name, value) => page.work.drafts.keep(name, value),
    draft: (name) => page.work.drafts.find(name),
    dropDraft: (name) => page.work.drafts.drop(name),
    colleagues: () =>
      run(async () => {
        await page.work.ready
        const { people } = page.work.session
        const sharers = page.work.list.sharers()
        await people.meet(sharers)
        return people.all(sharers)
      }),
    colleague: (username) =>
      run(async () => {
        const { people } = page.work.session
        return people.view(await people.find(username))
      }),
    verifyColleague: (username, number, how) => run(() => page.work.session.people.verify(username, number, how)),
    forgetColleague: (username) => run(() => page.work.session.people.forget(username)),
    sharing: (id) => run(() => viewSharing(page.work, id)),
    share: (ids, username, role, until, mode, progress) =>
      run(async () => {
        const report = await page.stoppable(async (signal) => {
          await page.work.ready
          return share(page.work, ids, username, role, until, { progress, signal }, mode)
        })
        for (const id of ids) changed(id)
        return report
      }),
    cancel: async () => page.cancel(),
    unshare: (id, physician) =>
      run(async () => {
        const also = await unshare(page.work, id, physician)
        changed(id)
        return also
      }),
    confirmMembers: (shown, without) =>
      run(async () => {
        try {
          const outcome = await confirmMembers(page.work, shown, without)
          await page.work.resending.run()
          return outcome
        } finally {
          changed(shown.id)
        }
      }),
    waiting: () =>
      run(async () => {
        await page.work.ready
        return page.work.awaiting.list()
      }),
    confirmMany: (shown, progress) =>
      run(async () => {
        const report = await page.stoppable(async (signal) => {
          await page.work.ready
          return confirmMany(page.work, shown, { progress, signal })
        })
        // What was confirmed is confirmed, also where the rest has to wait for the server.
        await page.work.resending.run().catch((error: unknown) => stopsHere(page.work, error))
        for (const { id } of shown) changed(id)
        return report
      }),
    leave: (id) =>
      run(async () => {
        await leave(page.work, id)
        changed(id)
      }),
    invitations: () => run(() => listInvitations(page.work)),
    acceptInvitations: (ids, progress) =>
      run(async () => {
        const report = await page.stoppable(async (signal) => {
          await page.work.ready
          return acceptInvitations(page.work, ids, { progress, signal })
        })
        // What was written in it before a restore took the acceptance back can be sent now.
        if (page.work.session.restoredAt >= 0)
          await page.work.resending.run().catch((error: unknown) => stopsHere(page.work, error))
        for (const id of ids) changed(id)
        await page.countInvitations().catch(() => {})
        return report
      }),
    declineInvitations: (ids, progress) =>
      run(async () => {
        const report = await page.stoppable((signal) => declineInvitations(page.work, ids, { progress, signal }))
        await page.countInvitations().catch(() => {})
        return report
      }),
    recordActivity: (id, before) => run(() => recordActivity(page.work, id, before)),
    accountActivity: (before) => run(() => accountActivity(page.work, before)),
    sessions: () => run(() => listSessions(page.work)),
    endSession: (id) => run(() => endSession(page.work, id)),
    devices: async () => listDevices(page.work),
    tampered: async (id) => page.tampered(id),
  }
}
