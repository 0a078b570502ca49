/** Every code, the HTTP status it travels under, and what the reader should do. docs/errors.md lists the same; a test holds the two together. */
export const errors = {
  BAD_INPUT_FORM: [400, "Correct the fields that are marked, then try again."],
  BAD_INPUT_FORMAT: [400, "This is not in the expected form. Check it and try again."],
  BAD_INPUT_SIZE: [413, "This is larger than Healthcrypt accepts. Split it into smaller parts."],
  BAD_INPUT_ENTRIES: [
    413,
    "This record holds as many entries of yours as it can. Nothing was lost. Export it, and import it as a new record (“As new records” on the page, or `healthcrypt import --new`); you can still remove members, or leave.",
  ],
  BAD_INPUT_STATEMENT: [400, "The signed statement is not valid. Update Healthcrypt on this device and try again."],
  BAD_INPUT_USERNAME: [400, "A username has 3 to 64 characters: a to z, 0 to 9, dot, underscore, hyphen."],
  BAD_INPUT_PASSWORD: [400, "Choose a password of at least 12 characters."],
  BAD_INPUT_WORDS: [400, "These are not 24 valid recovery words. Check the spelling and the order."],
  BAD_INPUT_BUNDLE: [400, "This file is not a FHIR R4 bundle that can be read. Export it again where it came from."],
  BAD_INPUT_SAFETY_NUMBER: [
    400,
    "These are not the 60 digits of your safety number. Read them to each other again; if they still differ, share nothing and call whoever runs your server.",
  ],
  BAD_INPUT_RESTORE_CODE: [
    400,
    "This is not the code of this restore. Ask whoever runs your server to read it to you again; if it still differs, stop. Nothing was changed.",
  ],
  BAD_INPUT_NO_PATIENT: [400, "This file contains no patient. Choose the file that does."],
  NOT_ALLOWED: [403, "There is nothing here that you may open. Check the address, or ask the owner of the record."],
  NOT_ALLOWED_HOST: [
    421,
    "This server does not go by the name that it was asked for. Use its own address, or have it started with --host-name NAME.",
  ],
  NOT_ALLOWED_SIGN_IN: [401, "Username and password do not match. Check both, or use your recovery words."],
  NOT_ALLOWED_RECOVERY: [401, "Username and recovery words do not match. Check both and try again."],
  NOT_ALLOWED_SESSION: [401, "Your session has ended. Sign in again."],
  NOT_ALLOWED_SUSPENDED: [
    403,
    "This account is suspended at this server. Nothing of it was deleted. Ask whoever runs your server.",
  ],
  NOT_ALLOWED_REGISTRATION: [403, "This server takes no new accounts. Ask whoever runs it at your practice."],
  NOT_ALLOWED_INVITATION: [
    403,
    "This server takes new accounts by invitation alone, and this code is missing, mistyped, used or expired. Ask whoever runs the server for a new one.",
  ],
  NOT_ALLOWED_PROOF: [401, "Confirm your current password first, then try again."],
  NOT_ALLOWED_UNVERIFIED: [
    403,
    "You have not verified this colleague yet. Compare your safety number with them first, then try again.",
  ],
  NOT_ALLOWED_CHANGED_KEY: [
    403,
    "This colleague's key has changed since you verified it. Compare the safety number again before you share anything.",
  ],
  NOT_ALLOWED_ROLE: [403, "Your role in this record does not allow this. Ask one of its owners."],
  NOT_ALLOWED_RESTORED: [
    403,
    "This record was shared when the server was put back to an earlier state. One of its owners has to confirm who may read it before anything is written.",
  ],
  NOT_ALLOWED_RENEW: [
    403,
    "You changed your password or your recovery words after the state that the server was put back to, and the old ones count again. Change them once more, before anything else.",
  ],
  NOT_ALLOWED_LAST_OWNER: [
    403,
    "A record needs an owner who has accepted it. Make a colleague an owner, wait until they have accepted, then try again.",
  ],
  CONFLICT_HEAD: [409, "The record has changed since it was read. Pull the newest version and try again."],
  CONFLICT_EDIT: [409, "Somebody else changed the same part of this record. Look at both versions and choose."],
  CONFLICT_MEMBERS: [
    409,
    "Who may read this record has changed since you looked. Look at the list once more, then decide. Nothing was changed or sent.",
  ],
  CONFLICT_KEYRING: [409, "Your account was changed on another device. Pull the newest version and try again."],
  CONFLICT_IDENTITY: [409, "Your way to sign in was changed on another device. Sign in again and retry."],
  CONFLICT_USERNAME: [409, "This username is taken. Choose another."],
  CONFLICT_EXISTS: [409, "This was stored before. Pull the newest version."],
  CANNOT_OPEN: [422, "This cannot be opened with the keys you have. Nothing was changed."],
  TAMPERED_CHAIN: [
    422,
    "The record's history does not fit together. Stop, save the evidence and call whoever runs your server.",
  ],
  TAMPERED_SIGNATURE: [422, "A signature does not match. Stop, save the evidence and call whoever runs your server."],
  TAMPERED_TOKEN: [
    422,
    "Stored content differs from what was signed. Stop, save the evidence and call whoever runs your server.",
  ],
  TAMPERED_KEY: [
    422,
    "A record key differs from the one that was promised. Stop, save the evidence and call whoever runs your server.",
  ],
  TAMPERED_GRANT: [
    422,
    "An invitation's keys are not the ones that its sender signed. Stop, save the evidence and call whoever runs your server.",
  ],
  TAMPERED_IDENTITY: [
    422,
    "A physician's identity does not check. Stop, save the evidence and call whoever runs your server.",
  ],
  TAMPERED_ROLLBACK: [
    422,
    "The server shows an older state than this device has seen. Stop and call whoever runs your server.",
  ],
  TAMPERED_FORK: [
    422,
    "The server's log contradicts what this device has seen. Stop and call whoever runs your server.",
  ],
  TAMPERED_LOG: [422, "The server's log does not check. Stop and call whoever runs your server."],
  TAMPERED_PRACTICE: [422, "This server is not the practice you registered with. Check the address before you go on."],
  UNAVAILABLE: [503, "Healthcrypt cannot do this right now. Nothing was lost; try again in a moment."],
  UNAVAILABLE_SERVER: [503, "The server cannot be reached. Check the address and the network, then try again."],
  UNAVAILABLE_STORAGE: [
    507,
    "The server cannot store anything right now, perhaps because its disk is full. Nothing was changed.",
  ],
  UNAVAILABLE_MEMORY: [
    507,
    "This cannot be opened here: this device does not have the memory for it. Close other programs and pages, or use another device; nothing was changed.",
  ],
  UNAVAILABLE_UPDATE: [
    426,
    "A newer version of Healthcrypt wrote this. Update Healthcrypt on this device, then try again; nothing was changed.",
  ],
  UNAVAILABLE_QUOTA: [
    429,
    "This account holds as much as the server allows to one. Nothing was lost. Ask whoever runs your server for more room.",
  ],
  UNAVAILABLE_QUOTA_HOUR: [
    429,
    "More was written within an hour than the server allows to one account. Nothing was lost. Try again in an hour, or ask whoever runs your server.",
  ],
  UNAVAILABLE_BUSY: [503, "The server is busy with what is sent and read. Nothing was lost; try again in a moment."],
  UNAVAILABLE_LIMIT: [429, "Too many attempts. Wait a while, then try again."],
} as const satisfies Record<string, readonly [status: number, advice: string]>

export type ErrorCode = keyof typeof errors

/** The only error that Healthcrypt throws on purpose from one folder into another. The family, which is the code's beginning, says what the caller can do. */
export class AppError extends Error {
  override readonly name = "AppError"
  readonly code: ErrorCode
  /** Messages for form fields, by field name, when the code is BAD_INPUT_FORM. */
  readonly fields: Readonly<Record<string, string>> | undefined

  /** @param message what to do next; never quotes a record. Left out, the code's own advice. */
  constructor(
    code: ErrorCode,
    message?: string,
    options: { cause?: unknown; fields?: Readonly<Record<string, string>> } = {},
  ) {
    super(message ?? errors[code][1], options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.fields = options.fields
  }

  get status(): number {
    return errors[this.code][0]
  }

  /** Whether the code belongs to a family, such as "TAMPERED". */
  is(family: string): boolean {
    return this.code === family || this.code.startsWith(`${family}_`)
  }
}

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(errors, code)
}
