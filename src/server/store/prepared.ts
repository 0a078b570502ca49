import type { Compilable, QueryResult } from "kysely"
import type { Db } from "./connection.ts"

/** A query that was compiled once. `db` is the connection or transaction it runs on. */
export type Prepared<Params, Row> = (db: Db, params: Params) => Promise<QueryResult<Row>>

/** Compiles a query of the hot path once, at start: building one costs more than SQLite takes to answer it.
 * @param build gets, for each parameter, something that stands in its place. */
export function prepare<Params extends object, Row = unknown>(
  build: (params: Params) => Compilable<Row>,
): Prepared<Params, Row> {
  const slots = new Proxy({}, { get: (_, name) => new Slot(name as keyof Params) }) as Params
  const compiled = build(slots).compile()
  return (db, params) => {
    const parameters = compiled.parameters.map((value) =>
      value instanceof Slot ? params[value.name as keyof Params] : value,
    )
    return db.executeQuery<Row>({ ...compiled, parameters })
  }
}

class Slot<Name> {
  readonly name: Name

  constructor(name: Name) {
    this.name = name
  }
}
