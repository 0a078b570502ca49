import { homedir, hostname } from "node:os"
import { join } from "node:path"
import { signIn } from "../client/account.ts"
import { rememberPinned } from "../client/log-target.ts"
import type { Session, Surroundings } from "../client/session.ts"
import { Transport } from "../client/transport.ts"
import { settleUnheard } from "../client/unheard.ts"
import { type Workspace, workspaceOf } from "../client/workspace.ts"
import { AppError } from "../errors.ts"
import { secretFrom, usernameFrom } from "./ask.ts"
import type { Io } from "./command.ts"
import { follow } from "./follow.ts"
import { connect } from "./http.ts"
import { serverOf } from "./log-address.ts"
import { fileStorage } from "./storage.ts"

/** Runs work with a connection to the server that HEALTHCRYPT_SERVER names. */
export async function withServer<T>(io: Io, work: (around: Surroundings) => Promise<T>): Promise<T> {
  let readOnly = false
  const tell = (): void => {
    readOnly = true
  }
  let noRoom: string | null = null
  const connection = connect(serverOf(io), io.env.HEALTHCRYPT_CA || undefined, undefined, "HEALTHCRYPT_SERVER", tell)
  const home = io.env.HEALTHCRYPT_HOME || join(homedir(), ".healthcrypt")
  try {
    return await work({
      transport: new Transport(connection.send, connection.open),
      storage: fileStorage(home, (reason) => {
        noRoom ??= reason
      }),
      carrier: "bearer",
      now: () => Date.now(),
      deviceLabel: `Command line on ${hostname()}`.slice(0, 200),
    })
  } finally {
    connection.close()
    if (noRoom !== null)
      await io.err.line(
        `This device can store nothing right now (${noRoom}): it will not know what it saw in this run. Make room for ${home}.`,
      )
    if (readOnly) await io.err.line("The server cannot store anything right now: you can read, not write.")
  }
}

/** Signs in, runs work, remembers what was seen, and ends the session. Where the server was put back since this machine was last here, that
 * is dealt with first. */
export function withSession<T>(io: Io, work: (session: Session) => Promise<T>): Promise<T> {
  return signedIn(io, (session) =>
    session.restoration === null ? work(session) : withRoster(io, session, () => work(session)),
  )
}

async function signedIn<T>(io: Io, work: (session: Session) => Promise<T>): Promise<T> {
  const username = await usernameFrom(io)
  const password = await secretFrom(io, "HEALTHCRYPT_PASSWORD", "Password")
  return withServer(io, async (around) => {
    const session = await signIn(around, username, password).catch(async (error) => {
      if (error instanceof AppError && error.code === "CANNOT_OPEN")
        await io.err.line("An earlier keyring is opened with `healthcrypt reopen`.")
      throw error
    })
    await noteLog(io, session)
    return endAfter(session, () => work(session))
  })
}

/** The same with the roster open and up to date, and every leaf of the log looked at: what is withheld is refused before anything is
 * printed. */
export function withWorkspace<T>(io: Io, work: (work: Workspace) => Promise<T>): Promise<T> {
  return signedIn(io, (session) => withRoster(io, session, work))
}

/** The same for what writes in records that are there. */
export function toWrite<T>(io: Io, work: (work: Workspace) => Promise<T>): Promise<T> {
  return signedIn(io, (session) => withRoster(io, session, work, true))
}

/** The same in a session that has begun. */
export async function withRoster<T>(
  io: Io,
  session: Session,
  work: (work: Workspace) => Promise<T>,
  isWriting = false,
): Promise<T> {
  const workspace = workspaceOf(session)
  await workspace.roster.load()
  await workspace.roster.sync()
  await workspace.roster.looked()
  await settleUnheard(workspace)
  try {
    await follow(io, workspace, isWriting)
    const result = await work(workspace)
    await workspace.roster.fold()
    await workspace.roster.looked()
    // What lost its place to somebody else's entry. The command has done its work: what cannot be asked now is asked by the next one.
    await settleUnheard(workspace).catch((error: unknown) => {
      if (error instanceof AppError && error.is("TAMPERED")) throw error
    })
    return result
  } finally {
    // What was done before a refusal counts as well. A server that is lost or was refused is asked for nothing more.
    await session.kept.keepHeads(workspace.roster)
    await workspace.roster.bind().catch(() => {})
  }
}

/** Notes which log the account holds this server to, for commands that ask for no password. Where that cannot be noted, they say so. */
export async function noteLog(io: Io, { around, practice, line }: Session): Promise<void> {
  const former = line.map(({ from }) => from.origin)
  await rememberPinned(around.storage, new URL(serverOf(io)).origin, practice, former).catch((error) => {
    if (!(error instanceof AppError)) throw error
  })
}

/** Ends a session after work, whatever came of it. A failure to say goodbye does not hide what the work did; a server that does not
 * answer is not waited for a second time. */
export async function endAfter<T>(session: Session, work: () => Promise<T>): Promise<T> {
  let answers = true
  try {
    const result = await work()
    await session.pins.save()
    return result
  } catch (error) {
    answers = !(error instanceof AppError && error.code === "UNAVAILABLE_SERVER")
    throw error
  } finally {
    await session.kept.flush()
    await (answers ? session.end() : session.pins.save()).catch((error) => {
      if (error instanceof AppError && error.is("TAMPERED")) throw error
    })
    session.wipe()
  }
}
