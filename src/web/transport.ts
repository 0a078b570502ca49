/** How an AppError crosses between page and worker, in either direction: code, message and fields, never a stack. */
import { transferHandlers } from "comlink"
import { AppError, type ErrorCode } from "../errors.ts"
import { shown } from "./shown.ts"

interface Thrown {
  readonly value: unknown
}

type Wire =
  | { readonly app: true; readonly code: ErrorCode; readonly message: string; readonly fields: AppError["fields"] }
  | { readonly app: false; readonly original: unknown }

/** Replaces comlink's handler for thrown values. Call it once on each side, before anything is exposed or wrapped. */
export function carryAppErrors(): void {
  const original = transferHandlers.get("throw")
  if (!original) throw new AppError("UNAVAILABLE")
  transferHandlers.set("throw", {
    canHandle: original.canHandle,
    serialize(thrown: unknown): [Wire, Transferable[]] {
      const { value } = thrown as Thrown
      if (value instanceof AppError) {
        return [{ app: true, code: value.code, message: value.message, fields: value.fields }, []]
      }
      const [wire, transfer] = original.serialize(thrown)
      return [{ app: false, original: wire }, transfer]
    },
    deserialize(wire: Wire): never {
      if (wire.app) throw new AppError(wire.code, shown(wire.message), wire.fields ? { fields: wire.fields } : {})
      original.deserialize(wire.original)
      throw new AppError("UNAVAILABLE")
    },
  })
}
