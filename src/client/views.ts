/** Plain views: what the client shows a page or a terminal. Nothing here is a key, and all of it can be structured-cloned. */
import type { RecordId } from "../encoding/ids.ts"
import type { ErrorCode } from "../errors.ts"

export type Account =
  | { readonly state: "signed-out" }
  | { readonly state: "locked"; readonly username: string; readonly reason: "idle" | "asked" | "reload" | "ended" }
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
}

/** Shown once, printed with the words. */
export interface RecoverySheet {
  readonly words: readonly string[]
  readonly username: string
  readonly practice: string
  readonly origin: string
  readonly logKey: string
}

export interface PatientFields {
  readonly firstName: string
  readonly lastName: string
  /** YYYY-MM-DD */
  readonly birthDate: string
  readonly diagnosis: string
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
  readonly rows: readonly HomeRow[]
  /** False while the roster is still being opened. */
  readonly complete: boolean
  /** Records the roster could not show, with the code that says why. */
  readonly refused: readonly { readonly id: RecordId; readonly code: ErrorCode }[]
}

export interface DiagnosisView {
  readonly key: string
  readonly text: string
  /** "active", "resolved", … as FHIR says; "" where absent. */
  readonly status: string
  /** YYYY-MM-DD or "" */
  readonly since: string
  readonly until: string
  readonly code: string
}

export interface ResourceLine {
  readonly key: string
  readonly date: string
  readonly text: string
}

export interface RecordView {
  readonly id: RecordId
  /** The entry this view shows. */
  readonly seq: number
  /** The newest entry; larger than `seq` when an earlier version is shown. */
  readonly head: number
  readonly firstName: string
  readonly lastName: string
  readonly birthDate: string
  readonly sex: string
  readonly deceased: string
  readonly identifiers: readonly { readonly label: string; readonly value: string }[]
  readonly contact: readonly { readonly label: string; readonly value: string }[]
  readonly allergies: readonly string[]
  readonly diagnoses: readonly DiagnosisView[]
  /** Every other resource, by type, newest first. */
  readonly groups: readonly { readonly type: string; readonly lines: readonly ResourceLine[] }[]
  /** What the form shows when it is opened. */
  readonly form: PatientFields
  readonly archived: boolean
  readonly updated: number
  /** Entries that verify but cannot be read, with their author's name where known. */
  readonly unreadable: readonly { readonly seq: number; readonly author: string }[]
  /** "Only you", or names. */
  readonly readers: readonly string[]
}

export interface FieldChange {
  readonly label: string
  /** "" where there was nothing. */
  readonly before: string
  /** "" where nothing is left. */
  readonly after: string
}

export interface HistoryItem {
  readonly seq: number
  readonly kind: "open" | "write" | "members"
  readonly author: string
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

/** One thing that two physicians changed differently. Texts are for people, not JSON. */
export interface ConflictField {
  readonly key: string
  readonly label: string
  readonly before: string
  readonly mine: string
  readonly theirs: string
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
}

export type ClientEvent =
  | { readonly type: "account"; readonly account: Account }
  | { readonly type: "roster"; readonly opened: number; readonly total: number; readonly complete: boolean }
  | { readonly type: "record"; readonly id: RecordId }
  | { readonly type: "connection"; readonly online: boolean }
  | { readonly type: "tampered"; readonly view: TamperedView }

/** What the page may ask of the worker. Every call may fail with an AppError; the transport keeps code, message and fields. */
export interface PageApi {
  /** Once, at page start: finds a remembered session, or the reason why there is none. */
  restore(): Promise<Account>
  subscribe(listener: (event: ClientEvent) => void): Promise<void>
  register(account: NewAccount): Promise<RecoverySheet>
  /** After three words were typed correctly. */
  confirmWords(): Promise<void>
  signIn(username: string, password: string): Promise<Account>
  /** Physician did something: keeps the session and puts the idle lock off. Cheap; call at most every few seconds. */
  active(): Promise<void>
  lock(): Promise<void>
  signOut(): Promise<void>
  recover(username: string, words: string, newPassword: string): Promise<RecoverySheet>
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
  importFile(name: string, bytes: Uint8Array, progress: (progress: ImportProgress) => void): Promise<ImportReport>
  cancelImport(): Promise<void>
  exportRecord(id: RecordId): Promise<string>
  /** The raw JSON text of one resource, for people who ask for it. */
  resource(id: RecordId, key: string): Promise<string>
  /** Drafts are sealed at once and survive lock, sign-out and session end. */
  keepDraft(name: string, value: string): Promise<void>
  draft(name: string): Promise<string | null>
  dropDraft(name: string): Promise<void>
  /** What is known of the last refusal about a record, or about the whole practice. */
  tampered(id: RecordId | null): Promise<TamperedView | null>
}
