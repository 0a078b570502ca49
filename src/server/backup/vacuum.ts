import { DatabaseSync } from "node:sqlite"
import { workerData } from "node:worker_threads"

/** Runs in a thread of its own: SQLite copies a database as it stands at one moment, while others go on writing. What was deleted before is
 * not in the copy. */
const { from, to }: { from: string; to: string } = workerData
const database = new DatabaseSync(from, { readOnly: true, timeout: 60_000 })
database.prepare("vacuum into ?").run(to)
database.close()
