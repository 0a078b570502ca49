import { expect, it } from "vitest"
import { utf8 } from "../encoding/bytes.ts"
import { newId } from "../encoding/ids.ts"
import { newSecretKey } from "../vault/keys.ts"
import { profilePlace } from "../vault/places.ts"
import { seal } from "../vault/seal.ts"
import { openProfile } from "./account-statements.ts"
import { parseRows } from "./roster-row.ts"

const newer = expect.objectContaining({ code: "UNAVAILABLE_UPDATE" })
const unreadable = expect.objectContaining({ code: "CANNOT_OPEN" })

it("a segment of a newer version is told from a damaged one", () => {
  expect(() => parseRows(utf8(JSON.stringify([2, "other", "fields"])))).toThrow(newer)
  for (const other of ["[0,[]]", '["2",[]]', "[]", "{}", "null", "", "[1,[[]]]"])
    expect(() => parseRows(utf8(other)), other).toThrow(unreadable)
  expect(parseRows(utf8("[1,[]]"))).toEqual([])
})

it("a profile of a newer version is told from a damaged one", async () => {
  const physician = newId<"physician">()
  const key = newSecretKey<"physician">()
  const opened = async (content: string) =>
    openProfile(key, physician, { number: 3, token: await seal(key, profilePlace(physician, 3), utf8(content)) })
  await expect(opened('{"v":2,"names":["Ada"]}')).rejects.toEqual(newer)
  await expect(opened("{")).rejects.toEqual(unreadable)
  expect(await opened('{"firstName":"Ada","lastName":"Byron"}')).toEqual({ firstName: "Ada", lastName: "Byron" })
})
