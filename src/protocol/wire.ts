import { z } from "zod"
import { encodeBase64url, parseBase64url } from "../encoding/base64.ts"
import { type Id, isId } from "../encoding/ids.ts"
import { isTokenForm, type TokenForm } from "../encoding/token-form.ts"
import { anyBytes } from "../proof/statement.ts"

/** Bytes travel as unpadded base64url text. @param maxBytes checked on the text, before anything is decoded. */
export function bytes(maxBytes: number) {
  return z.codec(z.string().max(Math.ceil((maxBytes * 4) / 3)), anyBytes, {
    decode: (text, context) => {
      try {
        return parseBase64url(text)
      } catch {
        context.issues.push({ code: "custom", message: "not base64url", input: text })
        return z.NEVER
      }
    },
    encode: (value) => encodeBase64url(value),
  })
}

/** A sealed token that is to be stored, in its form: see `isTokenForm`. Whoever stores what cannot be a token has nothing that opens. */
export function token(form: TokenForm, maxBytes: number) {
  return bytes(maxBytes).refine((sealed) => isTokenForm(sealed, form), "not a token")
}

/** An id travels as its 22 characters. */
export function id<Kind extends string>() {
  return z.custom<Id<Kind>>(isId, "not an id")
}

export const count = z.int().min(0)
/** A count in a query string. */
export const countText = z.codec(z.string().regex(/^\d{1,16}$/), z.int().min(0), {
  decode: (text) => Number(text),
  encode: (value) => String(value),
})
