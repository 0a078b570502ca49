import { findingOf } from "../client/log-findings.ts"
import { AppError } from "../errors.ts"
import type { Io } from "./command.ts"

/** Says what was expected and what came, and answers with the exit code. Other errors are thrown on.
 * @param evidence where it lies, or null where none is kept */
export async function printFinding(io: Io, error: unknown, evidence: string | null): Promise<number> {
  if (!(error instanceof AppError && error.is("TAMPERED"))) throw error
  const { expected, found } = findingOf(error)
  await io.err.line(error.message)
  await io.err.line(`  expected  ${expected}`)
  await io.err.line(`  came      ${found}`)
  if (evidence !== null) await io.err.line(`  evidence  ${evidence}`)
  return 3
}
