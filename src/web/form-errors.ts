/** From an error to the words beside a field, or above the button where no field is to blame. */
import { AppError, type ErrorCode } from "../errors.ts"

export interface Fields {
  setErrors(errors: Record<string, string>): void
  getInputNode(path: string): HTMLElement | null
}

const fieldOf: Partial<Record<ErrorCode, string>> = {
  CONFLICT_USERNAME: "username",
  BAD_INPUT_USERNAME: "username",
  BAD_INPUT_PASSWORD: "password",
  BAD_INPUT_WORDS: "words",
  BAD_INPUT_RESTORE_CODE: "code",
  NOT_ALLOWED_INVITATION: "invite",
}

export function messageOf(error: unknown): string {
  return error instanceof AppError ? error.message : new AppError("UNAVAILABLE").message
}

/** Whether the same may go well once the server can be reached again. */
export function serverMissed(code: ErrorCode): boolean {
  return code === "UNAVAILABLE_SERVER" || code === "UNAVAILABLE"
}

/** Marks the fields that the error names and focuses the first, in the order of `names`.
 * @returns what to say above the button, or "" when a field says it. */
export function showErrors(form: Fields, names: readonly string[], error: unknown): string {
  const fields = fieldsOf(error, names)
  if (!fields) return messageOf(error)
  form.setErrors(fields)
  focusFirst(form, names, fields)
  return ""
}

export function focusFirst(form: Fields, names: readonly string[], errors: Record<string, unknown>): void {
  const first = names.find((name) => errors[name])
  if (first) form.getInputNode(first)?.focus()
}

/** A wrong password is no wrong username where somebody is signed in: the field says so.
 * @param field the name of the field it was typed into */
export function wrongCurrent(field: string, error: unknown): unknown {
  if (!(error instanceof AppError) || error.code !== "NOT_ALLOWED_SIGN_IN") return error
  return new AppError("BAD_INPUT_FORM", undefined, { fields: { [field]: "This is not your current password." } })
}

function fieldsOf(error: unknown, names: readonly string[]): Record<string, string> | null {
  if (!(error instanceof AppError)) return null
  const named = Object.entries(error.fields ?? {}).filter(([name]) => names.includes(name))
  if (named.length > 0) return Object.fromEntries(named)
  const field = fieldOf[error.code]
  return field && names.includes(field) ? { [field]: error.message } : null
}
