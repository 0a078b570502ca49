import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { connect } from "../src/cli/http.ts"
import { fileStorage } from "../src/cli/storage.ts"
import { register, signIn } from "../src/client/account.ts"
import type { Session, Surroundings } from "../src/client/session.ts"
import { type HttpRequest, type HttpResponse, type Send, Transport } from "../src/client/transport.ts"
import { type Workspace, workspaceOf } from "../src/client/workspace.ts"
import { type RunningServer, startServer } from "../src/server/main.ts"

export const password = "correct horse battery staple"

/** Stands between a client and its server, and may change what either is told. */
export type Between = (request: HttpRequest, send: Send) => Promise<HttpResponse>

/** A real server in this process, on a folder of its own, and real clients of it. */
export interface Practice {
  readonly folder: string
  readonly server: RunningServer
  /** A device: a connection and a memory of its own. The same name is the same device. */
  device(name: string, between?: Between): Surroundings
  register(username: string, device?: string): Promise<Session>
  /** Signs in and opens the roster. */
  open(username: string, device?: string, between?: Between): Promise<Workspace>
  /** The time by the server's clock, and every device's. */
  now(): number
  /** Lets time go by. */
  pass(ms: number): void
  close(): Promise<void>
}

/** The practice of a file's tests, which ends with them. @param webRoot the page that it serves, if any */
export async function openPractice(webRoot: string | null = null): Promise<Practice> {
  const practice = await startPractice(webRoot)
  afterAll(practice.close)
  return practice
}

export async function startPractice(webRoot: string | null = null): Promise<Practice> {
  const folder = await mkdtemp(join(tmpdir(), "healthcrypt-practice-"))
  let passedMs = 0
  const now = () => Date.now() + passedMs
  const server = await startServer({
    dataDir: join(folder, "data"),
    host: "127.0.0.1",
    port: 0,
    transit: { kind: "plain" },
    webRoot,
    logLevel: "error",
    notice: () => {},
    now,
  })
  const connections: { close(): void }[] = []
  const device = (name: string, between?: Between): Surroundings => {
    const connection = connect(server.url, undefined)
    connections.push(connection)
    const send: Send = between === undefined ? connection.send : (request) => between(request, connection.send)
    const storage = fileStorage(join(folder, "devices", name))
    return { transport: new Transport(send), storage, carrier: "bearer", now }
  }
  return {
    folder,
    server,
    device,
    async register(username, name = username) {
      const account = { username, firstName: "Ada", lastName: "Byron", password }
      return (await register(device(name), account)).enter()
    },
    async open(username, name = username, between) {
      const work = workspaceOf(await signIn(device(name, between), username, password))
      await work.roster.load()
      await work.roster.sync()
      return work
    },
    now,
    pass(ms) {
      passedMs += ms
    },
    async close() {
      for (const connection of connections) connection.close()
      await server.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
