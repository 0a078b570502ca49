import type { Checkpoint } from "../proof/checkpoint.ts"
import type { Registration } from "../protocol/accounts.ts"
import type { IsMeant } from "./hosts.ts"
import type { Quota } from "./store/quota.ts"
import type { Store } from "./store/store.ts"
import type { WitnessAddress } from "./witnesses.ts"

/** What lies in the secrets folder and never in the database. */
export interface Secrets {
  /** The OPAQUE server setup, as the library writes it. */
  readonly opaqueSetup: string
  /** Ed25519 seed of the log key, 32 B. */
  readonly logSeed: Uint8Array
}

/** Signs a checkpoint and gives the whole note. See `logSigner` in log.ts. */
export type SignCheckpoint = (checkpoint: Checkpoint) => string

export type LogLevel = "silent" | "error" | "warn" | "info" | "debug"

/** What the routes need. */
export interface AppDeps {
  readonly store: Store
  readonly secrets: Secrets
  /** Under TLS, our own or a proxy's: cookies are Secure and carry the `__Host-` prefix. */
  readonly secureCookies: boolean
  /** Exactly one proxy stands before us, and its X-Forwarded-* headers are believed. */
  readonly trustProxy: boolean
  /** Whether a request asks for this server by a name of its own. */
  readonly isMeant: IsMeant
  readonly logLevel: LogLevel
  /** How many leaves of the log the newest verified backup of it holds; null where there is none. */
  readonly newestBackup?: () => Promise<{ readonly origin: string; readonly size: number } | null>
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** How often a stream of events says that it is still there; 20 seconds where left out. */
  readonly commentMs?: number
  /** How long a connection may neither send nor accept a byte; 30 seconds where left out. */
  readonly stillMs?: number
  /** Who can sign up. */
  readonly registration: Registration
  /** How many may sign up from one address within an hour without an invitation; the usual number where left out. */
  readonly signUps?: number
  /** Who is asked to cosign the log's checkpoints. */
  readonly witnesses?: readonly WitnessAddress[]
  /** TLS of our own: handed to Fastify as they are. */
  readonly https?: { readonly key: string | Buffer; readonly cert: string | Buffer; readonly minVersion: "TLSv1.3" }
  /** Where log lines go; standard error where left out. */
  readonly logStream?: { write(line: string): void }
}

export interface StoreOptions {
  /** Path of the SQLite file; created where absent. */
  readonly file: string
  readonly signCheckpoint: SignCheckpoint
  readonly now: () => number
  /** False: the file system takes nothing, so that only reading works. Left out, it is tried. */
  readonly writable?: boolean
  /** Of each physician; the usual one where left out. */
  readonly quota?: Quota
}
