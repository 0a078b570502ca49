/** Plain views: what the client shows a page or a terminal. Nothing here is a key, and all of it can be structured-cloned. */
import type { PatientFields } from "../clinical/fields.ts"
import type { FieldChange } from "../clinical/history.ts"
import type { ConflictField } from "../clinical/merge.ts"
import type { ChartView } from "../clinical/view.ts"
import type { PhysicianId, RecordId, SessionId } from "../encoding/ids.ts"
import type { ErrorCode } from "../errors.ts"
import type { Role } from "../proof/entry.ts"
import type { Registration } from "../protocol/accounts.ts"

export type { DiagnosisView } from "../clinical/diagnoses.ts"
export type { PatientFields } from "../clinical/fields.ts"

export type { ConflictField } from "../clinical/merge.ts"
export type { ResourceLine } from "../clinical/resource-text.ts"
export type { Role } from "../proof/entry.ts"
export type { Registration } from "../protocol/accounts.ts"

export type Account =
  | { readonly state: "signed-out" }
  | {
      readonly state: "locked"
      readonly username: string
      readonly reason: "idle" | "asked" | "reload" | "ended" | "suspended"
    }
  | {
      /** The server was put back to an earlier state, and nothing is shown or sent until the physician has said that this is meant, or has
       * changed a password that counts again. */
      readonly state: "restored"
      readonly username: string
      /** False until the operator's code was typed, here or on another device. */
      readonly confirmed: boolean
      readonly back: WentBack
    }
  | {
      readonly state: "signed-in"
      readonly username: string
      readonly firstName: string
      readonly lastName: string
      /** Minutes without activity before this device locks. */
      readonly idleMinutes: number
      /** False until the physician has typed three of the recovery words. */
      readonly wordsConfirmed: boolean
    }

export interface NewAccount {
  readonly username: string
  readonly firstName: string
  readonly lastName: string
  readonly password: string
  /** An invitation code, or the link with it. Left out, or empty: none. */
  readonly invite?: string
}

/** Shown once, printed with the words. */
export interface RecoverySheet {
  readonly words: readonly string[]
  readonly username: string
  readonly practice: string
  readonly origin: string
  readonly logKey: string
}

export interface HomeRow {
  readonly id: RecordId
  readonly firstName: string
  readonly lastName: string
  /** YYYY-MM-DD, YYYY-MM, YYYY or "" */
  readonly birthDate: string
  readonly diagnoses: readonly string[]
  /** Milliseconds since 1970, the author's claim. */
  readonly updated: number
  readonly archived: boolean
  readonly role: Role
  /** The other members, by verified username or the name they are known by; empty where nobody else can read it. */
  readonly sharedWith: readonly string[]
  /** Nothing can be written in it before an owner has confirmed, after a restore, who may read it. */
  readonly waits: boolean
}

export type HomeSort = "name" | "birthDate" | "diagnoses" | "updated"

export interface HomeQuery {
  readonly search: string
  readonly sort: HomeSort
  readonly descending: boolean
  readonly archived: boolean
  readonly offset: number
  readonly limit: number
}

export interface HomePage {
  /** All records that the query could match (archived or not, as asked). */
  readonly total: number
  /** How many match the search. */
  readonly matching: number
  /** Of `total`, those that a search does not find by all of their diagnoses: these are too many. 0 where nothing is searched. */
  readonly partlySearched: number
  readonly rows: readonly HomeRow[]
  /** False while the roster is still being opened. */
  readonly complete: boolean
  /** Records the roster could not show, with the code that says why. */
  readonly refused: readonly { readonly id: RecordId; readonly code: ErrorCode; readonly message: string }[]
  /** How many records wait, after a restore, until this physician has confirmed who may read them; archived ones too. */
  readonly waiting: number
}

export interface RecordView extends ChartView {
  readonly id: RecordId
  /** The entry this view shows. */
  readonly seq: number
  /** The newest entry; larger than `seq` when an earlier version is shown. */
  readonly head: number
  /** The author's time of the entry shown, milliseconds since 1970. */
  readonly updated: number
  /** Entries that verify but cannot be read, with their author; `keyBy` gave this physician a key that opens none of them, `newer` are
   * those that say they were written by a newer version. */
  readonly unreadable: readonly {
    readonly seq: number
    readonly author: string
    readonly keyBy: string | null
    readonly newer: boolean
  }[]
  /** The home page's summary says something else than the record: mended by the next write. */
  readonly summaryDiffers: boolean
  /** "Only you", or names. */
  readonly readers: readonly string[]
  /** Who of them has keys in the list that are not those which this physician verified. */
  readonly keysChanged: readonly string[]
  /** What the physician may do here; a reader is offered no editing. */
  readonly role: Role
  /** Nothing can be written before an owner has confirmed, after a restore, who may read the record; null where nobody has to.
   * `owners` are the others who can do so. */
  readonly waits: { readonly mine: boolean; readonly owners: readonly string[] } | null
}

/** A record of which a restored server has less than this device had seen. */
export interface LostRecord {
  readonly id: RecordId
  readonly name: string
  /** How many entries this device knew of. */
  readonly had: number
  /** How many of them are there; 0 where the whole record is gone. */
  readonly has: number
  /** Of those that are gone, how many the physician wrote on this device and has neither sent nor decided anew. */
  readonly own: number
  /** Who was removed since, or given less, and has what they had again. */
  readonly returned: readonly string[]
  /** Whether the physician is only invited to it again, and has to accept it once more. */
  readonly accept: boolean
}

/** What a restore took back, as far as this device knows. */
export interface WentBack {
  /** When the server was restored, by its clock; milliseconds since 1970. */
  readonly time: number
  readonly records: readonly LostRecord[]
  /** Entries of the physician's own that hold something of a patient: this device sends them again where they still fit. */
  readonly own: number
  /** `password`, `recovery`: ways to unlock that were replaced since, of which the old ones count again. */
  readonly renew: readonly string[]
  /** Records of which an owner has to confirm first who may read them. */
  readonly confirm: readonly RecordId[]
}

/** What a page shows once a restore is confirmed. */
export interface AfterRestore {
  /** `null` where the server was lost, busy or full meanwhile: the rest is sent when the page goes on, or with the next sign-in. */
  readonly sent: SentAgain | null
  /** New recovery words, where they had to be made. */
  readonly sheet: RecoverySheet | null
  /** Records of which an owner has to confirm first who may read them. */
  readonly waits: readonly WaitingRecord[]
}

/** What became of the physician's own entries after a restore. */
export interface SentAgain {
  readonly unchanged: number
  /** Made anew as entries on what the server has. */
  readonly anew: number
  /** An owner has to confirm first who may read their records. */
  readonly waiting: number
  /** Of `anew`, records of which somebody else had taken the id meanwhile, under their new one. */
  readonly elsewhere: readonly Pick<NotSent, "key" | "id" | "name" | "time">[]
  readonly left: readonly NotSent[]
}

/** An entry that stays on its device. */
export interface NotSent {
  /** What it is known by on this device. */
  readonly key: string
  readonly id: RecordId
  /** What the record was called, as far as this device knows; for the physician's eyes alone. */
  readonly name: string
  /** When it was written; milliseconds since 1970. */
  readonly time: number
  readonly reason: string
  /** Whether it holds something of the patient: {@link PageApi.lostToRestore} has it then. What does not says who may read the record, and
   * is decided anew. */
  readonly hasContent: boolean
  /** Whether no later run sends it: only then it may be removed. */
  readonly isFinal: boolean
}

/** What a page shows of entries that a restore took back for as long as they are kept. */
export interface Unsent {
  /** They are on this device alone. */
  readonly left: readonly NotSent[]
  /** Records that were made anew under another id, since this page was opened. */
  readonly elsewhere: SentAgain["elsewhere"]
}

/** A physician as another one knows them. The username is what was verified; `name` is what they call themself, "" where they have
 * not said: it stands beside the username, never instead. */
export interface Colleague {
  readonly physician: PhysicianId
  readonly username: string
  readonly name: string
  /** `changed`: was verified, and has other keys since. Nothing can be shared until the number is compared again. */
  readonly state: "verified" | "unverified" | "changed"
  /** When and how this physician verified them; null unless verified. */
  readonly verified: { readonly time: number; readonly how: "digits" | "code" } | null
}

/** What two colleagues compare. */
export interface ColleagueView extends Colleague {
  /** 60 digits; the same on both sides, or something is wrong. */
  readonly safetyNumber: string
  /** Of their keys, hexadecimal. */
  readonly fingerprint: string
  /** What the QR code says. */
  readonly code: string
  /** Whether the server says that their account is suspended. */
  readonly suspended: boolean
}

/** Somebody who can read a record. */
export interface ReaderView {
  readonly colleague: Colleague
  readonly you: boolean
  readonly role: Role
  /** Milliseconds since 1970, or null for no end. The server alone enforces it. */
  readonly until: number | null
  /** They were out of it, or had less, by what this device knows, a restore took that back, and nobody has decided about them since. */
  readonly returned: boolean
  /** The list names keys that are not those which this physician verified: they are removed with whoever is removed. */
  readonly keysChanged: boolean
}

/** A record that takes nothing, after a restore, until an owner has confirmed who may read it. */
export interface WaitingRecord {
  readonly id: RecordId
  readonly firstName: string
  readonly lastName: string
  readonly birthDate: string
  readonly members: readonly ReaderView[]
  /** Whether the physician is an owner of it. */
  readonly mine: boolean
  /** Somebody is back or has other keys, or this device saw another list: it is decided by itself, and not with others. */
  readonly apart: boolean
}

export interface MemberView extends ReaderView {
  /** Whether they have taken the record up, as the server says; until then they can, and can decline. */
  readonly accepted: boolean
  /** Whether the server says that their account is suspended. They are a member all the same. */
  readonly suspended: boolean
}

/** Who can read a record, and what the physician may do about it. */
export interface SharingView {
  readonly id: RecordId
  readonly role: Role
  readonly members: readonly MemberView[]
  /** An owner may add, change and remove. */
  readonly mayShare: boolean
  /** Anybody but the last owner who has accepted it. */
  readonly mayLeave: boolean
  /** Somebody left: the key is changed with the next entry of an owner or writer. */
  readonly keyChanges: boolean
  /** The server was put back to an earlier state: nothing is written until an owner has confirmed who may read the record. A physician whose
   * device knows better than the list is asked, whoever confirmed it meanwhile. */
  readonly confirmFirst: boolean
}

export interface ManyProgress {
  readonly done: number
  readonly total: number
}

/** What became of an action on many records. What is already so is counted as done: an action that was stopped is resumed by asking
 * again. */
export interface ManyReport {
  readonly done: number
  /** Of `done`, those that were so already. */
  readonly already: number
  readonly refused: readonly { readonly id: RecordId; readonly code: ErrorCode; readonly message: string }[]
  /** Stopped before the end, by the physician or by `problem`. */
  readonly cancelled: boolean
  /** What ended it for all of them, such as a server that could not be reached any more; null where nothing did. */
  readonly problem: { readonly code: ErrorCode; readonly message: string } | null
}

export interface Invitation {
  readonly id: RecordId
  readonly from: Colleague
  readonly role: Role
  readonly until: number | null
  /** The author's claim, milliseconds since 1970. */
  readonly time: number
  /** Why it cannot be accepted, where it cannot. */
  readonly problem: { readonly code: ErrorCode; readonly message: string } | null
}

export interface InvitationList {
  readonly invitations: readonly Invitation[]
  /** How many more wait, of senders who are not verified. The server's word. */
  readonly unlisted: number
  /** Whether these are so many at least: the server counts no further. */
  readonly more: boolean
}

/** One line of Activity. */
export interface ActivityItem {
  /** Its place in the practice's log. */
  readonly index: number
  /** The server's time, milliseconds since 1970. */
  readonly time: number
  readonly kind:
    | "opened"
    | "created"
    | "wrote"
    | "shared"
    | "left"
    | "accepted"
    | "exported"
    | "sign-in"
    | "recover"
    | "end-session"
    | "admin"
    | "unlocks"
    | "keyring"
    | "other"
  /** By verified username or the name they are known by; "You". */
  readonly actor: string
  /** More in words, such as with whom and as what; "" where there is nothing to add. */
  readonly detail: string
  /** Who was invited with it, as they are called in `actor`. */
  readonly invited: readonly string[]
}

export interface ActivityPage {
  readonly items: readonly ActivityItem[]
  readonly more: boolean
}

/** A device that the physician has signed in on. */
export interface DeviceView {
  readonly label: string
  readonly since: number
  readonly current: boolean
}

export interface SessionView {
  readonly id: SessionId
  readonly current: boolean
  readonly carrier: "browser" | "program"
  readonly started: number
  readonly lastActive: number
}

export interface HistoryItem {
  readonly seq: number
  readonly kind: "open" | "write" | "members"
  /** A colleague's username; of this physician, their own name. */
  readonly author: string
  /** What a colleague calls themself; "" where unknown. */
  readonly name: string
  /** For `members`: what it changed, in words. */
  readonly sharing: readonly string[]
  /** Milliseconds since 1970: the author's claim, and the server's time. */
  readonly time: number
  readonly serverTime: number
  readonly changes: readonly FieldChange[]
  /** How many resources were added, changed, removed beyond those in `changes`. */
  readonly resources: { readonly added: number; readonly changed: number; readonly removed: number }
  readonly archived: boolean | null
  readonly note: string
  readonly readable: boolean
}

export type SaveResult =
  | {
      readonly saved: true
      readonly id: RecordId
      readonly seq: number
      readonly merged: boolean
      readonly unchanged: boolean
    }
  | {
      readonly saved: false
      readonly id: RecordId
      /** The head that was found; pass it back with the choices. */
      readonly head: number
      readonly author: string
      readonly fields: readonly ConflictField[]
    }

export interface ImportReport {
  readonly file: string
  readonly outcome: "added" | "merged" | "nothing-new" | "refused" | "cancelled"
  readonly records: readonly { readonly id: RecordId; readonly name: string }[]
  readonly resources: number
  readonly added: number
  readonly changed: number
  /** How many patients got a record of their own although one with the same Patient key is there. */
  readonly apart: number
  /** How many resources belong to no patient of the file, and were not taken. */
  readonly leftOut: number
  /** Resource types kept unchanged but shown only as plain lines. */
  readonly notUnderstood: readonly { readonly type: string; readonly count: number }[]
  /** For "refused": the code and what to do, naming the place. */
  readonly code?: ErrorCode
  readonly message?: string
}

export interface ImportProgress {
  readonly file: string
  readonly filesDone: number
  readonly filesTotal: number
  readonly resourcesDone: number
  readonly resourcesTotal: number
}

/** What the page shows when a check fails; `evidence` is what may be saved to a file. */
export interface TamperedView {
  readonly code: ErrorCode
  readonly expected: string
  readonly found: string
  readonly evidence: string
  /** The colleague who signed what is refused, where it is not the server's doing. */
  readonly by: { readonly physician: PhysicianId; readonly label: string; readonly mayRemove: boolean } | null
}

export type ClientEvent =
  | { readonly type: "account"; readonly account: Account }
  | { readonly type: "roster"; readonly opened: number; readonly total: number; readonly complete: boolean }
  | { readonly type: "record"; readonly id: RecordId }
  | { readonly type: "connection"; readonly online: boolean }
  /** Whether the server says that it can store nothing. */
  | { readonly type: "storage"; readonly readOnly: boolean }
  /** Whether all of the log could be looked at, or the server did not answer. */
  | { readonly type: "looked"; readonly looked: boolean }
  | { readonly type: "tampered"; readonly view: TamperedView }
  /** How many invitations wait. */
  | { readonly type: "invitations"; readonly count: number }
  /** What was found out about entries that a restore took back. */
  | { readonly type: "unsent"; readonly unsent: Unsent }
  /** Everything that could be overwritten of a session that has ended is: the worker may be thrown away with the rest. */
  | { readonly type: "wiped" }

/** What the page may ask of the worker. Every call may fail with an AppError; the transport keeps code, message and fields. */
export interface PageApi {
  /** Once, at page start: finds a remembered session, or the reason why there is none. */
  restore(): Promise<Account>
  subscribe(listener: (event: ClientEvent) => void): Promise<void>
  /** Who can sign up here, as the server says. */
  registration(): Promise<Registration>
  register(account: NewAccount): Promise<RecoverySheet>
  /** After three words were typed correctly. */
  confirmWords(): Promise<void>
  /** Somebody has begun to type: loads what a password needs. */
  prepareSignIn(): Promise<void>
  signIn(username: string, password: string): Promise<Account>
  /** Physician did something: keeps the session and puts the idle lock off. Cheap; call at most every few seconds. */
  active(): Promise<void>
  lock(): Promise<void>
  signOut(): Promise<void>
  /** @param former whether to take an earlier keyring where the newest does not open
   * @returns `null` where the server was put back to an earlier state: {@link PageApi.confirmRestore} comes first, and gives the sheet */
  recover(username: string, words: string, newPassword: string, former?: boolean): Promise<RecoverySheet | null>
  /** Signs in on an earlier keyring, where the newest does not open. */
  reopen(username: string, password: string): Promise<Account>
  /** Confirms a restore, changes password and words where that has to be, and sends again what this device holds.
   * @param newPassword empty where the password was not changed since. @throws BAD_INPUT_RESTORE_CODE: nothing has changed then */
  confirmRestore(code: string, newPassword: string): Promise<AfterRestore>
  /** What this device holds of the physician's own that the restored server does not have, in plain, as JSON; `null` where it has nothing. */
  lostToRestore(): Promise<string | null>
  /** Forgets entries of {@link Unsent}, by their keys. */
  dismissUnsent(keys: readonly string[]): Promise<void>
  /** Goes on to the records after that. */
  enterRestored(): Promise<Account>
  changePassword(current: string, next: string): Promise<void>
  newWords(password: string): Promise<RecoverySheet>
  setIdleMinutes(minutes: number): Promise<void>
  home(query: HomeQuery): Promise<HomePage>
  record(id: RecordId, seq?: number): Promise<RecordView>
  history(id: RecordId): Promise<readonly HistoryItem[]>
  /** Patients with the same name and birth date. */
  namesakes(fields: PatientFields): Promise<readonly HomeRow[]>
  create(fields: PatientFields): Promise<SaveResult>
  /** @param base the `seq` of the view whose form was edited. */
  save(id: RecordId, base: number, fields: PatientFields): Promise<SaveResult>
  /** @param choices by conflict key. */
  resolve(
    id: RecordId,
    base: number,
    fields: PatientFields,
    head: number,
    choices: Readonly<Record<string, "mine" | "theirs">>,
  ): Promise<SaveResult>
  archive(id: RecordId, archived: boolean): Promise<void>
  /** @param among the records into which it may go, besides new ones; any, if `null` */
  importFile(
    name: string,
    bytes: Uint8Array,
    progress: (progress: ImportProgress) => void,
    among: readonly RecordId[] | null,
  ): Promise<ImportReport>
  /** The files of a record, in their order: one, unless it is larger than one may be. */
  exportRecord(id: RecordId): Promise<readonly File[]>
  /** The raw JSON text of one resource, for people who ask for it. */
  resource(id: RecordId, key: string): Promise<string>
  /** Drafts are sealed at once and survive lock, sign-out and session end. */
  keepDraft(name: string, value: string): Promise<void>
  draft(name: string): Promise<string | null>
  dropDraft(name: string): Promise<void>
  /** All who were verified once, and all who share a record with the physician. Sorted by username. */
  colleagues(): Promise<readonly Colleague[]>
  /** @throws NOT_ALLOWED where nobody has this username */
  colleague(username: string): Promise<ColleagueView>
  /** @param number the 60 digits as typed, or what a scanned code says. @throws BAD_INPUT_SAFETY_NUMBER when they differ */
  verifyColleague(username: string, number: string, how: "digits" | "code"): Promise<ColleagueView>
  /** Takes the verification back. */
  forgetColleague(username: string): Promise<void>
  sharing(id: RecordId): Promise<SharingView>
  /** Shares records. With `add`, nothing is taken from a colleague who has one already; with `set`, role and end become what is said.
   * @throws NOT_ALLOWED_UNVERIFIED before anything is done */
  share(
    ids: readonly RecordId[],
    username: string,
    role: Role,
    until: number | null,
    mode: "add" | "set",
    progress: (progress: ManyProgress) => void,
  ): Promise<ManyReport>
  /** Stops whatever works on many records after the one at hand. */
  cancel(): Promise<void>
  /** Removes a member, and everybody whose keys have changed: what comes after, they cannot read. @returns the usernames of the others */
  unshare(id: RecordId, physician: PhysicianId): Promise<readonly string[]>
  /** After a restore: an owner says who may read a record from now on. @param shown what they looked at @param without who may not
   * @returns `already` where others have decided so. @throws CONFLICT_MEMBERS */
  confirmMembers(shown: SharingView, without: readonly PhysicianId[]): Promise<"done" | "already">
  /** All records that wait for an owner after a restore, by the patient's name. */
  waiting(): Promise<readonly WaitingRecord[]>
  /** Confirms the readers of many, each as it was shown. What stands apart is refused. */
  confirmMany(shown: readonly WaitingRecord[], progress: (progress: ManyProgress) => void): Promise<ManyReport>
  leave(id: RecordId): Promise<void>
  invitations(): Promise<InvitationList>
  acceptInvitations(ids: readonly RecordId[], progress: (progress: ManyProgress) => void): Promise<ManyReport>
  declineInvitations(ids: readonly RecordId[], progress: (progress: ManyProgress) => void): Promise<ManyReport>
  /** Newest first; `before` is the index of the last one shown, or null. */
  recordActivity(id: RecordId, before: number | null): Promise<ActivityPage>
  accountActivity(before: number | null): Promise<ActivityPage>
  sessions(): Promise<readonly SessionView[]>
  endSession(id: SessionId): Promise<void>
  /** Newest first. The list is the physician's own: the server cannot read it. */
  devices(): Promise<readonly DeviceView[]>
  /** What is known of the last refusal about a record, or about the whole practice. */
  tampered(id: RecordId | null): Promise<TamperedView | null>
}
