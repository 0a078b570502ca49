import { connect } from "../src/cli/http.ts"
import { fileStorage } from "../src/cli/storage.ts"
import { demandConfirmed, signIn, wayByWords } from "../src/client/account.ts"
import type { Session, Surroundings } from "../src/client/session.ts"
import { Transport } from "../src/client/transport.ts"
import { type Workspace, workspaceOf } from "../src/client/workspace.ts"

/** Everything a program's client runs in, in this process: real HTTP, real files. @param home as HEALTHCRYPT_HOME */
export function surroundings(server: string, home: string): { around: Surroundings; close: () => void } {
  const { send, close } = connect(server, undefined)
  const around = {
    transport: new Transport(send),
    storage: fileStorage(home),
    carrier: "bearer",
    now: Date.now,
  } as const
  return { around, close }
}

export interface LiveClient extends Workspace {
  readonly close: () => void
}

/** Signs in within this process and opens the roster. */
export async function openClient(
  server: string,
  home: string,
  username: string,
  password: string,
): Promise<LiveClient> {
  const { around, close } = surroundings(server, home)
  const session: Session = await signIn(around, username, password)
  const work = workspaceOf(session)
  await work.roster.load()
  await work.roster.sync()
  return { ...work, close }
}

/** Gets back in with the recovery words, as the command line does. @param former whether an earlier keyring will do */
export async function recover(around: Surroundings, username: string, words: string, password: string, former = false) {
  const { session, finish } = await wayByWords(around, username, words, former)
  return { session: demandConfirmed(session), sheet: await finish(password) }
}
