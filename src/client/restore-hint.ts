import { AppError } from "../errors.ts"
import { logOrigin } from "../proof/checkpoint.ts"
import type { PracticeReply } from "../protocol/accounts.ts"
import { fetchLine } from "./line.ts"
import type { Surroundings } from "./session.ts"

const saidForMs = 30 * 24 * 3_600_000

/** What somebody is told who was refused at sign-in: where the server was put back within the last 30 days, an earlier password may count.
 * That is the server's word, and the same whether there is such an account.
 * @returns the error, with more to say where it is about that */
export async function withRestoreHint(
  { transport, now }: Surroundings,
  practice: PracticeReply,
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof AppError) || !["NOT_ALLOWED_SIGN_IN", "NOT_ALLOWED_RECOVERY"].includes(error.code))
    return error
  if (practice.origin === logOrigin(practice.practice)) return error
  const time = await fetchLine(transport, practice).then(
    ({ line }) => line.at(-1)?.time ?? null,
    () => null,
  )
  if (time === null || Math.abs(now() - time) > saidForMs) return error
  const day = new Date(time).toLocaleDateString("en-GB", { dateStyle: "long" })
  return new AppError(
    error.code,
    `${error.message} The server says that it was put back to an earlier state on ${day}: a password and recovery words from before may count ` +
      "again, and an account that was made since may be gone. Try the earlier ones, or ask whoever runs the server.",
    { cause: error },
  )
}
