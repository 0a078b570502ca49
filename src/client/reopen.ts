import { sha256 } from "#sha256"
import { AppError } from "../errors.ts"
import { verifyAccount } from "../proof/account-statement.ts"
import { emptyRoot } from "../proof/merkle.ts"
import { type AccountReply, formerAccount } from "../protocol/accounts.ts"
import { paths } from "../protocol/paths.ts"
import { type Keyring, openKeyring } from "../vault/keyring.ts"
import type { PhysicianKey } from "../vault/keys.ts"
import { keysOfChain, openProfile, type ProfileNames, type StoredToken, verifyStored } from "./account-statements.ts"
import { boundOf } from "./bound.ts"
import type { Surroundings } from "./session.ts"

/** What an account stands on whose newest keyring does not open: the seeds and the practice of a former one, and nothing else of it. */
export interface Reopened {
  readonly keyring: Keyring
  /** The number of the former keyring, for people. */
  readonly from: number
  readonly profile: ProfileNames
  /** What the next keyring and profile replace: SHA-256 of the tokens that the server holds, 32 B. */
  readonly replaces: { readonly keyring: Uint8Array; readonly profile: Uint8Array }
  /** What the newest keyring's leaf holds, where its statement verifies; `null` where nothing says so. */
  readonly keyringHash: Uint8Array | null
}

/** Whether an account's newest keyring and profile are as they were signed, and open. @throws UNAVAILABLE_UPDATE */
export async function opens(account: AccountReply, key: PhysicianKey): Promise<boolean> {
  return (await newestKeyring(account, key)) !== null && (await namesIn(account, key, account.profile)) !== null
}

/** Opens a former keyring in the place of the newest one, which does not open: colleagues are unverified then, and the roster is made anew.
 * A server that damages the newest keyring could show an old world so; only the physician decides that, after a fresh proof.
 * @throws CANNOT_OPEN where no former one opens either, UNAVAILABLE_UPDATE, NOT_ALLOWED_PROOF */
export async function openFormer(around: Surroundings, account: AccountReply, key: PhysicianKey): Promise<Reopened> {
  const former = await around.transport.call("GET", paths.formerAccount, { reply: formerAccount.reply })
  const found = (await newestKeyring(account, key)) ?? (await formerKeyring(account, key, former.keyrings))
  if (found === null)
    throw new AppError(
      "CANNOT_OPEN",
      "No earlier keyring of your account opens either. Ask whoever runs your server for one of their backups. Nothing was changed.",
    )
  const { keyring: seeds, number } = found
  let profile = await namesIn(account, key, account.profile)
  for (const one of former.profiles) profile ??= await namesIn(account, key, one)
  const { signSeed, sealSeed, sealKey, practice, settings } = seeds
  return {
    keyring: {
      v: 2,
      signSeed,
      sealSeed,
      sealKey,
      practice,
      ...(seeds.successions && { successions: seeds.successions }),
      seen: { size: 0, root: emptyRoot, identity: 0 },
      roster: { segments: [], complete: 0 },
      bound: boundOf(0, new Map(), []),
      colleagues: [],
      devices: [],
      settings: { idleMinutes: settings.idleMinutes, wordsConfirmed: false },
    },
    from: number,
    profile: profile ?? { firstName: "", lastName: "" },
    replaces: {
      keyring: await signedHash(account, "keyring", account.keyring),
      profile: await signedHash(account, "profile", account.profile),
    },
    keyringHash: await leafHashOf(account),
  }
}

interface Found {
  readonly keyring: Keyring
  readonly number: number
}

function newestKeyring(account: AccountReply, key: PhysicianKey): Promise<Found | null> {
  return formerKeyring(account, key, [account.keyring])
}

/** The first of these that its physician signed for and that opens. */
async function formerKeyring(
  { physician, identity, keyring: newest }: AccountReply,
  key: PhysicianKey,
  stored: readonly StoredToken[],
): Promise<Found | null> {
  for (const one of stored) {
    if (one.number > newest.number) continue
    const found = await unlessDamaged(async () => {
      await verifyStored(physician, keysOfChain(identity), "keyring", one)
      return { keyring: await openKeyring(key, physician, one.number, one.token), number: one.number }
    })
    if (found !== null) return found
  }
  return null
}

function namesIn(
  { physician, identity }: AccountReply,
  key: PhysicianKey,
  stored: StoredToken,
): Promise<ProfileNames | null> {
  return unlessDamaged(async () => {
    await verifyStored(physician, keysOfChain(identity), "profile", stored)
    return openProfile(key, physician, stored)
  })
}

/** The hash of a token as its statement says it: the token itself may be what is damaged. */
async function signedHash(
  { physician, identity }: AccountReply,
  what: "keyring" | "profile",
  { token, signed }: StoredToken,
): Promise<Uint8Array> {
  if (signed === undefined) return sha256(token)
  const said = await unlessDamaged(() => verifyAccount(signed, physician, what, keysOfChain(identity)))
  return said?.items[0]?.hash ?? sha256(token)
}

async function leafHashOf({ physician, identity, keyring: { signed } }: AccountReply): Promise<Uint8Array | null> {
  if (signed === undefined) return null
  const said = await unlessDamaged(() => verifyAccount(signed, physician, "keyring", keysOfChain(identity)))
  return said?.statementHash ?? null
}

/** `null` for what is damaged, or is another than was signed for. */
async function unlessDamaged<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work()
  } catch (error) {
    const damaged =
      error instanceof AppError && (error.code === "CANNOT_OPEN" || error.is("TAMPERED") || error.is("BAD_INPUT"))
    if (!damaged) throw error
    return null
  }
}
