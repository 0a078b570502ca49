import { client, ready } from "@serenity-kit/opaque"
import { parseBase64url } from "../encoding/base64.ts"
import type { PracticeId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"

/** The client's side of OPAQUE (RFC 9807): the password never leaves this file but as its messages. Messages are base64url text. */

/** Argon2id with 64 MiB, three passes, four lanes; `ksf=1` in the server's identifier. A constant: no server can lower it. */
const keyStretching = { "argon2id-custom": { memory: 65_536, iterations: 3, parallelism: 4 } }

export interface Where {
  readonly username: string
  readonly practice: PracticeId
}

export interface Registration {
  readonly registrationRecord: string
  /** 64 B; changes at every registration, even with the same password. */
  readonly exportKey: Uint8Array
  readonly serverKey: string
}

export interface Login {
  readonly finishLoginRequest: string
  readonly exportKey: Uint8Array
  readonly serverKey: string
}

/** Starts making or replacing a password. `finish` takes the server's answer. */
export async function startRegistration(password: string): Promise<{
  readonly request: string
  finish(response: string, where: Where): Registration
}> {
  await ready
  const clean = password.normalize("NFC")
  const { clientRegistrationState, registrationRequest } = client.startRegistration({ password: clean })
  return {
    request: registrationRequest,
    finish(registrationResponse, where) {
      const done = client.finishRegistration({
        password: clean,
        clientRegistrationState,
        registrationResponse,
        identifiers: identifiers(where),
        keyStretching,
      })
      return {
        registrationRecord: done.registrationRecord,
        exportKey: parseBase64url(done.exportKey),
        serverKey: done.serverStaticPublicKey,
      }
    },
  }
}

/** Starts a log-in. `finish` throws NOT_ALLOWED_SIGN_IN for a wrong password, an unknown user or another server alike. */
export async function startLogin(password: string): Promise<{
  readonly request: string
  finish(response: string, where: Where): Login
}> {
  await ready
  const clean = password.normalize("NFC")
  const { clientLoginState, startLoginRequest } = client.startLogin({ password: clean })
  return {
    request: startLoginRequest,
    finish(loginResponse, where) {
      const done = client.finishLogin({
        password: clean,
        clientLoginState,
        loginResponse,
        identifiers: identifiers(where),
        keyStretching,
      })
      if (done === undefined) throw new AppError("NOT_ALLOWED_SIGN_IN")
      return {
        finishLoginRequest: done.finishLoginRequest,
        exportKey: parseBase64url(done.exportKey),
        serverKey: done.serverStaticPublicKey,
      }
    },
  }
}

function identifiers({ username, practice }: Where): { client: string; server: string } {
  return { client: username, server: `healthcrypt/v1|${practice}|ksf=1` }
}
