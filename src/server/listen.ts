import { once } from "node:events"
import { createServer, isIP, type Server, type Socket } from "node:net"
import { Server as TlsServer } from "node:tls"
import type { FastifyInstance } from "fastify"
import { AppError } from "../errors.ts"
import { addressesToHold } from "./address.ts"

interface Place {
  readonly host: string
  /** 0 takes one that is free at every address. */
  readonly port: number
}

const triesForAnyPort = 20

/** Listens at every address that the host's name leads to, on one port: a browser that asks for `localhost` tries [::1] and 127.0.0.1, and
 * whoever held the other one would be this page's origin. What comes at a further address goes the way of the first.
 * @returns what ends the further ones @throws UNAVAILABLE where another program has one of them */
export async function listen(app: FastifyInstance, { host, port }: Place): Promise<() => Promise<void>> {
  const [first, ...others] = await addressesToHold(host)
  await app.ready()
  for (let tries = 1; ; tries++) {
    const further: Server[] = []
    try {
      let chosen = port
      for (const address of others) {
        const server = await openFurther(address, chosen, app.server)
        if (server === null) continue
        further.push(server)
        chosen = portOf(server)
      }
      await listening({ host, address: first, port: chosen }, () =>
        app.listen({ host: first, port: chosen, listenTextResolver: () => "listening" }),
      )
      return () => closeAll(further)
    } catch (error) {
      await closeAll(further)
      // What is free at one address may be taken at the other.
      if (port !== 0 || tries === triesForAnyPort || !isTaken(error)) throw error
    }
  }
}

/** @throws UNAVAILABLE where `listen` could not listen */
export async function demandFreePort({ host, port }: Place): Promise<void> {
  const [first, ...others] = await addressesToHold(host)
  const server = createServer()
  await listening({ host, address: first, port }, () => opened(server, first, port))
  await closeAll([server])
  if (port === 0) return
  for (const address of others) {
    const further = await openFurther(address, port, server)
    if (further !== null) await closeAll([further])
  }
}

/** The port that is really listened on. */
export function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === "string") throw new AppError("UNAVAILABLE")
  return address.port
}

/** @param to answers what comes @returns null where this machine has no such address, so that nobody else listens there either */
async function openFurther(address: string, port: number, to: Server): Promise<Server | null> {
  // As a server of HTTP sets its own sockets; one of TLS makes its own of them.
  const server = createServer({ allowHalfOpen: !(to instanceof TlsServer), noDelay: true }, (socket: Socket) => {
    if (to.listening) to.emit("connection", socket)
    else socket.destroy()
  })
  try {
    await listening({ host: address, address, port }, () => opened(server, address, port))
    return server
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException
    if (code === "EADDRNOTAVAIL" || code === "EAFNOSUPPORT") return null
    throw error
  }
}

async function opened(server: Server, host: string, port: number): Promise<void> {
  server.listen(port, host)
  await once(server, "listening")
}

async function closeAll(servers: readonly Server[]): Promise<void> {
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
}

interface Attempt extends Place {
  readonly address: string
}

async function listening({ host, address, port }: Attempt, attempt: () => Promise<unknown>): Promise<void> {
  try {
    await attempt()
  } catch (cause) {
    const at = isIP(address) === 6 ? ` at [${address}]` : ""
    const advice = {
      EADDRINUSE: `Port ${port} is taken${at}. Stop the program that uses it, or choose another port with --port.`,
      EACCES: `This user may not listen on port ${port}. Choose one above 1023 with --port.`,
      EADDRNOTAVAIL: `${host} is not an address of this machine. Choose another with --host.`,
      EAFNOSUPPORT: `${host} is not an address of this machine. Choose another with --host.`,
      ENOTFOUND: `${host} is not an address of this machine. Choose another with --host.`,
    }[(cause as NodeJS.ErrnoException).code ?? ""]
    throw advice ? new AppError("UNAVAILABLE", advice, { cause }) : cause
  }
}

function isTaken(error: unknown): boolean {
  const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException
  return code === "EADDRINUSE"
}
