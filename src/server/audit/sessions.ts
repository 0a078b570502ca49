import { isId } from "../../encoding/ids.ts"
import { longestMs } from "../sessions.ts"
import type { Db } from "../store/connection.ts"
import { type Findings, rowName } from "./findings.ts"
import type { Times } from "./times.ts"

/** The SHA-256 of a secret of 32 bytes, as base64url. */
const hash = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/

/** Sessions are the server's own notes, which nobody signs: what can be told of one is that it is a physician's, of a known kind, as long as
 * any, and no later than the log. What a session has read stands in the log. */
export async function auditSessions(db: Db, findings: Findings, { latest }: Times): Promise<void> {
  const sessions = db
    .selectFrom("session")
    .leftJoin("physician", "physician.id", "session.physician")
    .select(["session.id", "session.token_hash", "session.page_hash", "session.carrier", "session.half"])
    .select(["session.created", "session.touched", "session.expires", "session.proven", "physician.id as whose"])
    .stream()
  for await (const row of sessions) {
    const name = rowName("session", { id: row.id })
    const { created, touched, expires, proven } = row
    findings.demand(row.whose !== null, name, "it is nobody's")
    findings.demand(isId(row.id), name, "its id is none")
    findings.demand(row.carrier === "cookie" || row.carrier === "bearer", name, "it is of a kind that there is not")
    const isBrowsers = row.carrier === "cookie"
    findings.demand(hash.test(row.token_hash), name, "its secret's hash is none")
    findings.demand(
      isBrowsers ? hash.test(row.page_hash ?? "") : row.page_hash === null,
      name,
      "its page's hash is none",
    )
    findings.demand(row.half === null || isBrowsers, name, "only a browser's has a half")
    findings.demand(row.half === null || row.half.length === 32, name, "its half has another length")
    findings.demand(expires === created + longestMs, name, "it lasts longer or shorter than any session")
    findings.demand(proven === created, name, "it was not proven when it began")
    findings.demand(created <= touched && touched < expires, name, "it was used outside its time")
    findings.demand(touched <= latest, name, "it was used later than anything that the log knows")
  }
  const marks = db
    .selectFrom("read_mark")
    .leftJoin("session", "session.id", "read_mark.session")
    .leftJoin("leaf", (join) =>
      join
        .onRef("leaf.subject", "=", "read_mark.record")
        .on("leaf.type", "=", "read")
        .onRef("leaf.actor", "=", "session.physician"),
    )
    .select(["read_mark.session", "read_mark.record"])
    .where("leaf.idx", "is", null)
    .stream()
  for await (const { session, record } of marks)
    findings.tampered(rowName("read_mark", { session, record }), "the log has no such read")
}
