/** What a draft of the patient form holds: the fields as typed, and the version of the record they were typed over. */
import type { PatientFields } from "../client/views.ts"
import type { RecordId } from "./record-id.ts"

export interface PatientDraft {
  /** The entry whose form was opened; null for a new record. */
  readonly base: number | null
  readonly initial: PatientFields
  readonly values: PatientFields
}

export const emptyFields: PatientFields = { firstName: "", lastName: "", birthDate: "", diagnosis: "" }
export const fieldNames = ["firstName", "lastName", "birthDate", "diagnosis"] as const

export function sameFields(one: PatientFields, other: PatientFields): boolean {
  return fieldNames.every((name) => one[name] === other[name])
}

export function encodeDraft(draft: PatientDraft): string {
  return JSON.stringify(draft)
}

/** @returns null for anything that is not a draft of this form. */
export function parseDraft(text: string | null): PatientDraft | null {
  if (text === null) return null
  try {
    const { base, initial, values } = JSON.parse(text) as Record<string, unknown>
    if (base !== null && !Number.isSafeInteger(base)) return null
    return isFields(initial) && isFields(values) ? { base: base as number | null, initial, values } : null
  } catch {
    return null
  }
}

function isFields(value: unknown): value is PatientFields {
  if (typeof value !== "object" || value === null) return false
  return fieldNames.every((name) => typeof (value as Record<string, unknown>)[name] === "string")
}

/** The name under which what is typed over a record is kept. */
export function draftName(id: RecordId): string {
  return `record/${id}`
}

const labels = { firstName: "First name", lastName: "Last name", birthDate: "Date of birth", diagnosis: "Diagnosis" }

/** The fields as they were typed, for somebody who can no longer save them. */
export function draftText({ values }: PatientDraft): string {
  return `Not saved:\n\n${fieldNames.map((name) => `${labels[name]}: ${values[name]}\n`).join("")}`
}
