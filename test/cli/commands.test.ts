import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, test, vi } from "vitest"
import { runCli } from "../cli.ts"
import { removeFolder, tempFolder } from "../server.ts"

vi.setConfig({ testTimeout: 300_000 })

const commands = [
  "serve",
  "register",
  "password",
  "recover",
  "reopen",
  "records",
  "records list",
  "records show",
  "records add",
  "records edit",
  "records history",
  "records archive",
  "records watch",
  "physicians show",
  "physicians verify",
  "share",
  "shares list",
  "shares accept",
  "shares decline",
  "members",
  "unshare",
  "log checkpoint",
  "log prove",
  "log monitor",
  "log witness",
  "import",
  "export",
  "shell",
  "verify",
  "token",
].map((name) => name.split(" "))
const id = "AAAAAAAAAAAAAAAAAAAAAA"
const logKey = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
/** Nobody may listen there. */
const nowhere = { HEALTHCRYPT_SERVER: "http://127.0.0.1:1" }
const somebody = { ...nowhere, HEALTHCRYPT_USERNAME: "ada", HEALTHCRYPT_PASSWORD: "correct horse battery" }

/** Two at a time: each is a process. */
async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items]
  const next = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item)
  }
  await Promise.all([next(), next()])
}

describe("--help and --version", () => {
  test("are everywhere", async () => {
    const { version } = JSON.parse(await readFile(join(import.meta.dirname, "../../package.json"), "utf8"))
    await each([[], ...commands], async (command) => {
      const help = await runCli([...command, "--help"])
      expect(help, `${command.join(" ")} --help`).toMatchObject({ code: 0, stderr: "" })
      expect(help.stdout).toContain(`Usage: healthcrypt${command.map((word) => ` ${word}`).join("")}`)
      const asked = await runCli([...command, "--version"])
      expect(asked, `${command.join(" ")} --version`).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: "" })
    })
  })

  test("say what there is", async () => {
    const { stdout } = await runCli(["--help"])
    for (const [first] of commands) expect(stdout).toMatch(new RegExp(`^ {2}${first}\\b`, "m"))
    for (const name of ["SERVER", "USERNAME", "PASSWORD", "NEW_PASSWORD", "HOME", "CA"])
      expect(stdout).toContain(`HEALTHCRYPT_${name}`)
    const serve = (await runCli(["serve", "--help"])).stdout
    for (const flag of ["--port", "--host", "--data", "--tls", "--tls-cert", "--tls-key", "--behind-proxy"])
      expect(serve).toContain(flag)
    expect(serve).toContain("5000")
    expect(serve).toContain("127.0.0.1")
    expect(serve).toContain("./healthcrypt-data")
    expect((await runCli(["records", "archive", "--help"])).stdout).toContain("--undo")
    expect((await runCli(["token", "--help"])).stdout).toContain("--seq")
  })
})

describe("exit code 2, with a word about what is missing, nothing on standard output, and no server asked", () => {
  test.each<[string, string[], Record<string, string>]>([
    ["no command", [], {}],
    ["an unknown command", ["frobnicate"], {}],
    ["an unknown command of a group", ["records", "frobnicate"], somebody],
    ["a group alone", ["records"], somebody],
    ["an unknown option", ["records", "list", "--frobnicate"], somebody],
    ["a password in argv", ["records", "list", "--password", "x"], somebody],
    ["no id", ["records", "show"], somebody],
    ["no file", ["import"], somebody],
    ["no output", ["export", id], somebody],
    ["a number that is none", ["token", id, "--yes", "--seq", "one"], somebody],
    ["two ids", ["records", "show", id, id], somebody],
    ["an id that looks like an option", ["records", "show", "-_sSeyQcIHW6YS4DBNTCJw"], somebody],
    ["no username", ["records", "list"], { ...nowhere, HEALTHCRYPT_PASSWORD: "x" }],
    ["no password", ["records", "list"], { ...nowhere, HEALTHCRYPT_USERNAME: "ada" }],
    ["no password for a new account", ["register"], { ...nowhere, HEALTHCRYPT_USERNAME: "ada" }],
    ["no new password", ["password"], somebody],
    ["a port that is none", ["serve", "--port", "http"], {}],
    ["a port that is too large", ["serve", "--port", "65536"], {}],
    ["another way of TLS", ["serve", "--tls", "please"], {}],
    ["a certificate without its key", ["serve", "--tls-cert", "x"], {}],
    ["two ways of TLS", ["serve", "--tls", "auto", "--behind-proxy"], {}],
    ["an id that is none", ["records", "show", "beer"], {}],
    ["a folder that is empty", ["serve", "--data", ""], {}],
    ["an address that is empty", ["serve", "--host", ""], {}],
    ["a witness of the server's that is none", ["serve", "--witness", "x=https://w.example"], {}],
    ["a folder to look into that is empty", ["shell", "--data", ""], {}],
    ["a folder to verify that is empty", ["verify", "--data", ""], {}],
    ["a log's key that is none", ["log", "checkpoint", "--key", "zz", "--origin", "healthcrypt/a"], nowhere],
    ["a log's origin that is none", ["log", "checkpoint", "--key", logKey, "--origin", "healthcrypt/a "], nowhere],
    ["a witness that is none", ["log", "monitor", "--witness", "foo"], nowhere],
    ["an interval that is none", ["log", "monitor", "--interval", "-1"], nowhere],
    ["a record to prove that is none", ["log", "prove", "beer"], somebody],
    ["a number to prove that is none", ["log", "prove", id, "--seq", "-1"], somebody],
    ["a log to witness that is none", ["log", "witness", "--log", "healthcrypt/a=zz"], nowhere],
    ["a witness's name that is none", ["log", "witness", "--name", "a b"], nowhere],
    ["a colleague's username that is none", ["physicians", "show", "bea beta"], somebody],
    ["a colleague's username that is too short", ["physicians", "verify", "b"], somebody],
    ["a username to share with that is none", ["share", id, "bea!", "--role", "reader"], somebody],
    ["a username to remove that is none", ["unshare", id, "bea!"], somebody],
    ["an expression that is none", ["shell", "--data", "DATA", "-e", "1 +"], {}],
  ])("%s", async (_, args, env) => {
    const folder = await tempFolder()
    const input = args[0] === "register" ? { firstName: "Ada", lastName: "Byron" } : undefined
    const outcome = await runCli(
      args.map((arg) => (arg === "DATA" ? folder : arg)),
      { env: { HEALTHCRYPT_HOME: join(folder, "home"), ...env }, cwd: folder, input },
    )
    if (args[0] === "shell") expect([1, 2]).toContain(outcome.code)
    else expect(outcome).toMatchObject({ code: 2, stdout: "" })
    expect(outcome.stderr.trim()).not.toBe("")
    expect(outcome.stderr).not.toMatch(/^\s+at /m)
    await removeFolder(folder)
  })
})

test("register without a password says what goes where", async () => {
  const input = { firstName: "Ada", lastName: "Byron" }
  const { code, stderr } = await runCli(["register"], { env: { ...nowhere, HEALTHCRYPT_USERNAME: "ada" }, input })
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: "Set HEALTHCRYPT_PASSWORD; standard input is for first and last name.\n",
  })
})

test("an id of another program's that begins with a hyphen is given behind --", async () => {
  const folder = await tempFolder()
  const hyphen = "-_sSeyQcIHW6YS4DBNTCJw"
  const env = { ...somebody, HEALTHCRYPT_HOME: folder }
  for (const args of [
    ["records", "show", "--", hyphen],
    ["share", "--role", "reader", "--", hyphen, "bea.beta"],
    ["unshare", "--", hyphen, "bea.beta"],
  ]) {
    const { code, stderr } = await runCli(args, { env })
    expect({ args, code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining("cannot be reached") })
  }
  await removeFolder(folder)
})

describe("exit code 1, for what is refused before any server is asked", () => {
  test.each<[string, string[], Record<string, string>, unknown, RegExp]>([
    ["standard input that is no JSON", ["records", "add"], somebody, "{", /JSON object/],
    ["standard input that is a list", ["records", "add"], somebody, "[]", /JSON object/],
    ["nothing on standard input", ["records", "add"], somebody, "", /JSON object/],
    [
      "a short password",
      ["register"],
      { ...somebody, HEALTHCRYPT_PASSWORD: "elevenchars" },
      { firstName: "A", lastName: "B" },
      /12 characters/,
    ],
    [
      "a username that is none",
      ["register"],
      { ...somebody, HEALTHCRYPT_USERNAME: "ada byron" },
      { firstName: "A", lastName: "B" },
      /3 to 64/,
    ],
    ["no names", ["register"], somebody, {}, /first name/],
    ["words that are none", ["recover"], somebody, "abandon ability able", /These are 3 words; it takes 24/],
    [
      "an address that is none",
      ["records", "list"],
      { ...somebody, HEALTHCRYPT_SERVER: "somewhere" },
      undefined,
      /HEALTHCRYPT_SERVER/,
    ],
    [
      "plain HTTP to another machine",
      ["records", "list"],
      { ...somebody, HEALTHCRYPT_SERVER: "http://192.0.2.1" },
      undefined,
      /https/,
    ],
    [
      "an authority that is not there",
      ["records", "list"],
      { ...somebody, HEALTHCRYPT_SERVER: "https://localhost:1", HEALTHCRYPT_CA: "/nowhere.pem" },
      undefined,
      /HEALTHCRYPT_CA/,
    ],
    ["token without --yes", ["token", id], somebody, undefined, /--yes/],
    ["verify where there is nothing", ["verify", "--data", "/nowhere"], {}, undefined, /no database/],
    ["shell where there is nothing", ["shell", "--data", "/nowhere", "-e", "1"], {}, undefined, /no database/],
  ])("%s", async (_, args, env, input, says) => {
    const folder = await tempFolder()
    const outcome = await runCli(args, { env: { HEALTHCRYPT_HOME: folder, ...env }, input })
    expect(outcome).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(says) })
    expect(outcome.stderr).not.toMatch(/^\s+at /m)
    await removeFolder(folder)
  })
})
