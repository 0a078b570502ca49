import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { brotliCompressSync, gzipSync } from "node:zlib"
import fastify, { type FastifyInstance } from "fastify"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { addSecurityHeaders, demandPage, servePage } from "./page.ts"

const script = "console.log(1)".repeat(100)
const html = '<!doctype html><style nonce="__NONCE__"></style><script type="module" src="/assets/main-abc.js"></script>'
let root: string
let app: FastifyInstance

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "healthcrypt-"))
  await mkdir(join(root, "assets"))
  await writeFile(join(root, "index.html"), html)
  await writeFile(join(root, "assets/main-abc.js"), script)
  await writeFile(join(root, "assets/main-abc.js.br"), brotliCompressSync(script))
  await writeFile(join(root, "assets/main-abc.js.gz"), gzipSync(script))
  app = fastify()
  addSecurityHeaders(app, true)
  app.get("/api/there", async () => ({}))
  app.setNotFoundHandler(async (_request, reply) => reply.code(404).send({ code: "NOT_ALLOWED" }))
  await servePage(app, root)
})
afterAll(async () => {
  await app.close()
  await rm(root, { recursive: true })
})

describe("index.html", () => {
  test.each(["/", "/login", "/records/AAAAAAAAAAAAAAAAAAAAAA?x=1"])("is the page at %s", async (url) => {
    const reply = await app.inject({ url, headers: { accept: "text/html,*/*;q=0.8" } })
    expect(reply.statusCode).toBe(200)
    expect(reply.headers["content-type"]).toBe("text/html; charset=utf-8")
    expect(reply.headers["cache-control"]).toBe("no-cache")
  })

  test("carries a nonce of its own in each answer, and the policy names it", async () => {
    const nonces = new Set<string>()
    for (let i = 0; i < 3; i++) {
      const reply = await app.inject({ url: "/" })
      const nonce = /nonce="([^"]+)"/.exec(reply.body)![1]!
      expect(Buffer.from(nonce, "base64")).toHaveLength(16)
      expect(reply.headers["content-security-policy"]).toContain(`style-src 'self' 'nonce-${nonce}';`)
      nonces.add(nonce)
    }
    expect(nonces.size).toBe(3)
  })

  test("has the strictest policy that the page works under", async () => {
    const { headers } = await app.inject({ url: "/" })
    const policy = String(headers["content-security-policy"]).replace(/nonce-[^']+/, "nonce-N")
    expect(policy).toMatchInlineSnapshot(
      `"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'nonce-N'; img-src 'self' data: blob:; connect-src 'self'; worker-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types healthcrypt"`,
    )
    expect(headers).toMatchObject({
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-embedder-policy": "require-corp",
      "cross-origin-resource-policy": "same-origin",
    })
    expect(headers["permissions-policy"]).toContain("camera=(self), display-capture=(), geolocation=()")
  })

  test("is not under the name of its file", async () => {
    const reply = await app.inject({ url: "/index.html" })
    expect(reply.body).not.toContain("__NONCE__")
  })
})

describe("assets", () => {
  test.each(["br", "gzip"])("come as they were compressed: %s", async (encoding) => {
    const reply = await app.inject({ url: "/assets/main-abc.js", headers: { "accept-encoding": encoding } })
    expect(reply.headers["content-encoding"]).toBe(encoding)
    expect(reply.headers["content-type"]).toMatch(/^(text|application)\/javascript/)
    expect(reply.headers.vary).toContain("accept-encoding")
    expect(reply.rawPayload.length).toBeLessThan(100)
  })

  test("come plain to whoever cannot inflate, are kept for ever, and run as a worker under a policy of their own", async () => {
    const reply = await app.inject({ url: "/assets/main-abc.js" })
    expect(reply.body).toBe(script)
    expect(reply.headers["cache-control"]).toBe("public, max-age=31536000, immutable")
    expect(reply.headers["content-security-policy"]).toContain(
      "script-src 'self' 'wasm-unsafe-eval'; connect-src 'self';",
    )
    expect(reply.headers["cross-origin-embedder-policy"]).toBe("require-corp")
  })

  test("that are not there are not the page", async () => {
    expect((await app.inject({ url: "/assets/gone.js" })).statusCode).toBe(404)
  })

  test.each([
    "/assets/../../secret",
    "/assets/%2e%2e/%2e%2e/secret",
    "/assets/..%2f..%2fsecret",
    "//assets/main-abc.js",
  ])("nothing outside the folder is served: %s", async (url) => {
    const reply = await app.inject({ url, headers: { accept: "application/json" } })
    expect(reply.statusCode).toBe(404)
  })
})

test.each(["/api/nothing", "/log/nothing", "/api", "/log"])("%s is never the page", async (url) => {
  const reply = await app.inject({ url, headers: { accept: "text/html" } })
  expect(reply.statusCode).toBe(404)
  expect(reply.json()).toEqual({ code: "NOT_ALLOWED" })
})

test("a program that wants JSON is not given the page", async () => {
  expect((await app.inject({ url: "/nothing", headers: { accept: "application/json" } })).statusCode).toBe(404)
})

test("answers of the API may do nothing at all as a document", async () => {
  const { headers } = await app.inject({ url: "/api/there" })
  expect(headers["content-security-policy"]).toContain("default-src 'none'")
})

test("under TLS browsers are told to stay there, except on localhost", async () => {
  const reply = await app.inject({ url: "/", headers: { host: "clinic.example" } })
  expect(reply.headers["strict-transport-security"]).toBe("max-age=31536000")
  const local = await app.inject({ url: "/", headers: { host: "localhost:5000" } })
  expect(local.headers["strict-transport-security"]).toBeUndefined()
})

test("a page that was not built says how", () => {
  expect(() => demandPage(join(root, "nothing"))).toThrow("npm run build")
  demandPage(root)
})
