import { findingOf } from "../client/log-findings.ts"
import { AppError } from "../errors.ts"
import type { Io } from "./command.ts"
import { clean, printLine } from "./print.ts"

/** Says what was expected and what came, and answers with the exit code. Other errors are thrown on.
 * @param evidence where it lies, or null where none is kept */
export async function printFinding(io: Io, error: unknown, evidence: string | null): Promise<number> {
  if (!(error instanceof AppError && error.is("TAMPERED"))) throw error
  const { expected, found } = findingOf(error)
  await printLine(io.stderr, error.message)
  await printLine(io.stderr, `  expected  ${clean(expected)}`)
  await printLine(io.stderr, `  came      ${clean(found)}`)
  if (evidence !== null) await printLine(io.stderr, `  evidence  ${evidence}`)
  return 3
}
