import { execFile } from "node:child_process"
import { cpus, release, totalmem } from "node:os"
import { promisify } from "node:util"
import type { PeerState } from "./stage.ts"

const run = promisify(execFile)
const versions =
  "import sys, flask, sqlalchemy, cryptography, gunicorn, sqlite3, importlib.metadata as m; " +
  'print(f\'Python {sys.version.split()[0]}, Flask {m.version("flask")}, SQLAlchemy {m.version("sqlalchemy")}, ' +
  'cryptography {m.version("cryptography")}, gunicorn {m.version("gunicorn")}, SQLite {sqlite3.sqlite_version}\')'

/** What this was measured on, in a few lines. */
export async function machine(peer: PeerState): Promise<string> {
  const [cpu] = cpus()
  const here = `${cpus().length} × ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${release()}`
  const ours = `Node ${process.versions.node}, V8 ${process.versions.v8}, OpenSSL ${process.versions.openssl}, SQLite ${process.versions.sqlite}`
  const theirs = "why" in peer ? `left out: ${peer.why}` : (await run(peer.python, ["-c", versions])).stdout.trim()
  return [`${new Date().toISOString().slice(0, 10)} · ${here}`, `ours: ${ours}`, `peer: ${theirs}`].join("\n")
}
