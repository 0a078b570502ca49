import type { Role } from "../../client/views.ts"
import { Notice } from "./notice.tsx"

/** Members whose keys are not those that were verified: they read on until they are removed. */
export function KeysChanged({ usernames, role }: { usernames: readonly string[]; role: Role }) {
  if (usernames.length === 0) return null
  return (
    <Notice tone="amber">
      The keys of {usernames.join(", ")} have changed since you verified them. Until they are removed, they can read
      what is written here.{" "}
      {role === "owner"
        ? "Compare your safety number again, or remove them under Sharing."
        : "Compare your safety number again, or ask an owner of this record to remove them."}
    </Notice>
  )
}
