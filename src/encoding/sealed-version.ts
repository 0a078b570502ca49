import { AppError } from "../errors.ts"

/** Demands that what was sealed is of a version that this program reads. `v` says it; where there is none, it is 1. Something newer is
 * neither damaged nor closed, and must not be overwritten.
 * @throws UNAVAILABLE_UPDATE for a newer one */
export function demandKnownVersion(sealed: unknown, newest: number): void {
  const version = typeof sealed === "object" && sealed !== null && "v" in sealed ? sealed.v : 1
  if (typeof version === "number" && version > newest) throw new AppError("UNAVAILABLE_UPDATE")
}

/** What went wrong while something sealed was read: a newer version as it is, all else as CANNOT_OPEN.
 * @param message what to say instead of the code's own advice */
export function unreadable(cause: unknown, message?: string): AppError {
  if (cause instanceof AppError && cause.code === "UNAVAILABLE_UPDATE") return cause
  return new AppError("CANNOT_OPEN", message, { cause })
}
