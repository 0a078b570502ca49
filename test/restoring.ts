import { join } from "node:path"
import { connect } from "../src/cli/http.ts"
import { fileStorage } from "../src/cli/storage.ts"
import { register, signIn, signInAnyway } from "../src/client/account.ts"
import type { Session, Surroundings } from "../src/client/session.ts"
import { Transport } from "../src/client/transport.ts"
import { type Workspace, workspaceOf } from "../src/client/workspace.ts"
import { backUp } from "../src/server/backup/backup.ts"
import { type Restored, restore } from "../src/server/backup/restore.ts"
import { type RunningServer, startServer } from "../src/server/main.ts"
import { builtPage } from "../src/server/page.ts"
import type { Between } from "./practice.ts"
import { removeFolder, tempFolder } from "./server.ts"

export const password = "correct horse battery staple"
export const passphrase = "a passphrase for backups"

/** A practice whose operator makes backups and puts them back, at one address. */
export class Restoring {
  readonly folder: string
  #server: RunningServer | null = null
  #port = 0
  readonly #web: boolean
  readonly #connections: { close(): void }[] = []
  #passedMs = 0
  readonly #now = () => Date.now() + this.#passedMs

  private constructor(folder: string, web: boolean) {
    this.#web = web
    this.folder = folder
  }

  /** @param web serves the built page as well */
  static async start(web = false): Promise<Restoring> {
    const practice = new Restoring(await tempFolder(), web)
    await practice.serve()
    return practice
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  home(device: string): string {
    return join(this.folder, "devices", device)
  }

  /** @param between stands between it and the server */
  device(name: string, between?: Between): Surroundings {
    const { send, open, close } = connect(this.url, undefined)
    this.#connections.push({ close })
    return {
      transport: new Transport(between === undefined ? send : (request) => between(request, send), open),
      storage: fileStorage(this.home(name)),
      carrier: "bearer",
      now: this.#now,
    }
  }

  /** Lets time go by. */
  pass(ms: number): void {
    this.#passedMs += ms
  }

  /** @returns the recovery words */
  async register(username: string): Promise<readonly string[]> {
    const names = { firstName: username, lastName: "Byron" }
    const { sheet, enter } = await register(this.device(username), { username, ...names, password })
    await enter()
    return sheet.words
  }

  /** Signs in as everybody does, and opens the roster. */
  async open(username: string, device = username, secret = password): Promise<Workspace> {
    return opened(await signIn(this.device(device), username, secret))
  }

  /** The same where a restore may wait to be confirmed. */
  async openAnyway(username: string, device = username, secret = password, between?: Between): Promise<Workspace> {
    return opened(await signInAnyway(this.device(device, between), username, secret))
  }

  /** Keeps what a device keeps when it is put away. */
  async putAway({ session, roster }: Workspace): Promise<void> {
    await session.kept.keepHeads(roster)
    await session.kept.flush()
    await session.pins.save()
  }

  async backUp(name: string, withSecrets = false, from = "data"): Promise<string> {
    const file = join(this.folder, name)
    const { signal } = new AbortController()
    await backUp({
      dataDir: join(this.folder, from),
      file,
      force: false,
      passphrase: withSecrets ? passphrase : null,
      signal,
    })
    return file
  }

  async stop(): Promise<void> {
    await this.#server?.close()
    this.#server = null
  }

  /** Puts a backup into a folder of the operator's, and serves it. */
  async restore(name: string, into = "data"): Promise<Restored> {
    await this.stop()
    const done = await restore({
      file: join(this.folder, name),
      dataDir: join(this.folder, into),
      force: true,
      passphrase: async () => passphrase,
      witnesses: [],
      now: this.#now,
    })
    await this.serve(into)
    return done
  }

  async serve(from = "data"): Promise<void> {
    await this.stop()
    this.#server = await startServer({
      dataDir: join(this.folder, from),
      host: "127.0.0.1",
      port: this.#port,
      transit: { kind: "plain" },
      webRoot: this.#web ? builtPage : null,
      logLevel: "silent",
      notice: () => {},
      now: this.#now,
    })
    this.#port = Number(new URL(this.#server.url).port)
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.close()
    await this.stop()
    await removeFolder(this.folder)
  }
}

async function opened(session: Session): Promise<Workspace> {
  const work = workspaceOf(session)
  await work.roster.load()
  await work.roster.sync()
  await work.roster.looked()
  return work
}
