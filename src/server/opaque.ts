import { ready, server } from "@serenity-kit/opaque"
import type { PracticeId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"

/** The server's side of OPAQUE (RFC 9807). The username is both the credential's and the client's identifier; the server's names
 * practice and key stretching, so that a client with another practice or weaker stretching fails. */
export interface OpaqueServer {
  /** What clients pin. */
  readonly publicKey: string
  /** @throws BAD_INPUT_FORMAT */
  respond(username: string, registrationRequest: string): string
  /** @param record null for an unknown username, which is answered like a known one. @throws BAD_INPUT_FORMAT */
  startLogin(username: string, record: string | null, startLoginRequest: string): { state: string; response: string }
  /** Whether the client has proved that it knows the password. */
  finishLogin(username: string, state: string, finishLoginRequest: string): boolean
}

/** @param setup from the secrets folder. */
export async function opaqueServer(setup: string, practice: PracticeId): Promise<OpaqueServer> {
  await ready
  const identifiers = (username: string) => ({ client: username, server: `healthcrypt/v1|${practice}|ksf=1` })
  return {
    publicKey: server.getPublicKey(setup),

    respond: (username, registrationRequest) =>
      parsing(() =>
        server.createRegistrationResponse({ serverSetup: setup, userIdentifier: username, registrationRequest }),
      ).registrationResponse,

    startLogin(username, record, startLoginRequest) {
      const { serverLoginState, loginResponse } = parsing(() =>
        server.startLogin({
          serverSetup: setup,
          userIdentifier: username,
          registrationRecord: record,
          startLoginRequest,
          identifiers: identifiers(username),
        }),
      )
      return { state: serverLoginState, response: loginResponse }
    },

    finishLogin(username, serverLoginState, finishLoginRequest) {
      try {
        server.finishLogin({ serverLoginState, finishLoginRequest, identifiers: identifiers(username) })
        return true
      } catch {
        return false
      }
    },
  }
}

/** The library throws at messages that are none. */
function parsing<T>(work: () => T): T {
  try {
    return work()
  } catch (cause) {
    throw new AppError("BAD_INPUT_FORMAT", undefined, { cause })
  }
}
