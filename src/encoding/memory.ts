import { AppError } from "../errors.ts"

/** Less is not worth it, and may lie in memory that others share. */
const largeBytes = 1024 * 1024

/** Gives back at once the memory that bytes lie in, if it is large: a collector leaves it lying until it finds the time, and hundreds of
 * megabytes come together. Nobody may look at any of it afterwards. */
export function giveBack({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength >= largeBytes) buffer.transfer(0)
}

/** Asked before a failure is called unreadable: what this device cannot hold can be read elsewhere, and the rest is not shown without it.
 * @throws UNAVAILABLE_MEMORY where this is what an engine throws when it has no memory left */
export function demandMemory(cause: unknown): void {
  if (cause instanceof AppError && cause.code === "UNAVAILABLE_MEMORY") throw cause
  const { code, message } = cause instanceof Error ? (cause as NodeJS.ErrnoException) : { code: "", message: "" }
  const isOut = cause instanceof RangeError && /allocation failed|out of memory/i.test(message)
  if (isOut || code === "Z_MEM_ERROR") throw new AppError("UNAVAILABLE_MEMORY", undefined, { cause })
}
