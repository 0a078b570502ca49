/** What the page says on the spot about the fields of an account; the client says it again. Null means fine. */

/** A username as it counts: the client, of which the page takes nothing but types, cleans it in the same way. */
export function cleanUsername(typed: string): string {
  return typed.trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

export function usernameProblem(value: string): string | null {
  const username = cleanUsername(value)
  if (username === "") return "Enter a username."
  if (username.length < 3) return "Use at least 3 characters."
  return /^[a-z0-9._-]{3,64}$/.test(username)
    ? null
    : "Use 3 to 64 characters: a to z, 0 to 9, dot, underscore, hyphen."
}

/** @param needed whether nobody signs up without one */
export function inviteProblem(value: string, needed: boolean): string | null {
  if (value.trim() === "") return needed ? "Paste the code, or the link, that was sent to you." : null
  return /^(\S*#)?[\w-]{22}\.[\w-]{43}\.healthcrypt\/\S+$/.test(value.trim())
    ? null
    : "This is not a whole invitation code. Copy the whole line, or the link, as it was sent to you."
}

export function nameProblem(value: string, which: "first" | "last"): string | null {
  return value.trim() === "" ? `Enter your ${which} name.` : null
}

export function newPasswordProblem(value: string): string | null {
  if (value === "") return "Choose a password."
  return [...value.normalize("NFC")].length < 12 ? "Use at least 12 characters." : null
}

export function repeatProblem(value: string, password: string): string | null {
  if (value === "") return "Type the password again."
  return value.normalize("NFC") === password.normalize("NFC") ? null : "The two passwords differ."
}

/** The words as they count: numbers, dots and line breaks of a copied sheet are left out. */
export function tidyWords(value: string): string {
  return value
    .toLowerCase()
    .split(/[^\p{L}]+/u)
    .filter(Boolean)
    .join(" ")
}

export function wordsProblem(value: string): string | null {
  const count = tidyWords(value).split(" ").filter(Boolean).length
  return count === 24 ? null : `Enter all 24 words in their order; there ${count === 1 ? "is" : "are"} ${count} so far.`
}
