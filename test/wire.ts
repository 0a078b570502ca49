import { connect, createServer, type Socket } from "node:net"

/** A TCP proxy on loopback that keeps every byte of both directions, each connection's in its order. */
export interface Wire {
  readonly port: number
  /** Of every connection, what went to the server and what came back. */
  recorded(): Buffer[]
  close(): Promise<void>
}

export async function recordWire(serverPort: number): Promise<Wire> {
  const streams: Buffer[][] = []
  const open = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(serverPort, "127.0.0.1")
    const up: Buffer[] = []
    const down: Buffer[] = []
    streams.push(up, down)
    pass(near, far, up)
    pass(far, near, down)
  })
  const pass = (from: Socket, to: Socket, kept: Buffer[]) => {
    open.add(from)
    from.on("data", (chunk: Buffer) => {
      kept.push(chunk)
      to.write(chunk)
    })
    from.on("end", () => to.end())
    from.on("error", () => to.destroy())
    from.on("close", () => open.delete(from))
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  return {
    port: address.port,
    recorded: () => streams.map((chunks) => Buffer.concat(chunks)),
    close: () =>
      new Promise((resolve) => {
        for (const socket of open) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
