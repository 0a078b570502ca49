import { randomBytes } from "node:crypto"
import { encodeBase64url, parseBase64url } from "../../src/encoding/base64.ts"
import { paths } from "../../src/protocol/paths.ts"
import { logSigner } from "../../src/server/log.ts"
import type { Attack, Scene } from "./attack.ts"
import { altered } from "./forge.ts"
import { flipped } from "./log-forge.ts"
import { rewriting } from "./rewriting.ts"
import { home, signIn, write } from "./steps.ts"

/** What `GET /api/log/successions` answers. */
interface WireSuccessions {
  successions: {
    statement: string
    signature: string
    leaf: { index: number; time: number; salt: string }
    inclusion: string
    consistency: string
  }[]
  log: { checkpoint: string; consistency: string }
}
const shown = new RegExp(`^${paths.successions}`)

const says = /put back to an earlier state/
/** What the server stands on is a log of its own making, with everything that clients ask for; nobody was told a code. */
const plant = ({ world }: Scene) => world.putBack()

/** Nothing came into the new log but its first leaf and what the server itself notes of who signs in. */
const after = ({ world }: Scene) => {
  const rows = world.sql<{ stream: string; type: string }>(
    "select stream, type from leaf where idx > (select min(idx) from leaf where stream = 'succession')",
  )
  const written = rows.filter(({ stream, type }) => stream !== "act" || !["sign-in", "end-session"].includes(type))
  if (written.length > 0) throw new Error(`written under the new log: ${JSON.stringify(written)}`)
}

const forged = (change: (one: WireSuccessions["successions"][number]) => void) =>
  rewriting<WireSuccessions>(shown, ({ successions }) => {
    for (const one of successions) change(one)
  })
const withoutCode = { code: "TAMPERED_PRACTICE", plant, after } as const

/** A server that says it was put back to an earlier state, and whose physicians were told no code. */
export const restored: readonly Attack[] = [
  { ...withoutCode, name: "a restore is shown at sign-in, and nobody has typed a code", step: signIn("ben"), says },
  { ...withoutCode, name: "the same to a machine that was never here", step: signIn("ben", "fresh"), says },
  { ...withoutCode, name: "the same while a session goes on", step: home("own"), says },
  { ...withoutCode, name: "the same before something is written", step: write("own"), says },
  {
    ...withoutCode,
    name: "a restore that the former key has not signed",
    step: signIn("ben"),
    between: forged((one) => {
      one.signature = flipped(one.signature)
    }),
  },
  {
    ...withoutCode,
    name: "a restore that another key than the pinned one has signed",
    step: signIn("ben"),
    between: forged((one) => {
      const signer = logSigner(randomBytes(32))
      one.statement = altered(one.statement, (fields) => {
        fields.from = { ...(fields.from as object), logKey: signer.publicKey }
      })
      one.signature = encodeBase64url(signer.signSuccession(parseBase64url(one.statement)))
    }),
  },
  {
    ...withoutCode,
    name: "a restore whose leaf is not in the log",
    step: signIn("ben"),
    between: forged((one) => {
      one.inclusion = flipped(one.inclusion)
    }),
  },
  {
    ...withoutCode,
    name: "a restore whose log does not keep the leaves",
    step: signIn("ben"),
    between: forged((one) => {
      one.consistency = flipped(one.consistency)
    }),
  },
  {
    ...withoutCode,
    name: "a new log with no restore that leads to it",
    step: signIn("ben"),
    between: rewriting<WireSuccessions>(shown, (answer) => {
      answer.successions = []
    }),
  },
]
