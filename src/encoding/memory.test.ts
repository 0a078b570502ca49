import { expect, it } from "vitest"
import { AppError } from "../errors.ts"
import { demandMemory } from "./memory.ts"

it("tells an engine without memory from everything else", () => {
  const out = { code: "UNAVAILABLE_MEMORY" }
  expect(() => {
    try {
      new ArrayBuffer(Number.MAX_SAFE_INTEGER)
    } catch (cause) {
      demandMemory(cause)
    }
  }).toThrow(expect.objectContaining(out))
  expect(() => demandMemory(new AppError("UNAVAILABLE_MEMORY"))).toThrow(expect.objectContaining(out))
  expect(() => demandMemory(Object.assign(new Error("x"), { code: "Z_MEM_ERROR" }))).toThrow(
    expect.objectContaining(out),
  )
  for (const other of [new AppError("CANNOT_OPEN"), new RangeError("Invalid array length"), new Error("x"), "x", null])
    expect(() => demandMemory(other)).not.toThrow()
})
