import { describe, expect, it } from "vitest"
import { idFromBytes, type RecordId } from "../encoding/ids.ts"
import type { ChainHead } from "./chain.ts"
import { encodeChainHead, parseChainHead } from "./chain-head.ts"
import { testPhysician } from "./physician.fixture.ts"

const [ada, ben] = [testPhysician(1), testPhysician(2)]
const hash = (n: number) => new Uint8Array(32).fill(n)
const head: ChainHead = {
  record: idFromBytes<"record">(new Uint8Array(16).fill(9)) as RecordId,
  seq: 4,
  hash: hash(1),
  epoch: 1,
  members: [
    { physician: ada.id, fingerprint: ada.fingerprint, role: "owner" },
    { physician: ben.id, fingerprint: ben.fingerprint, role: "reader", until: 1_900_000_000_000 },
  ],
  commits: new Map([
    [0, hash(2)],
    [1, hash(3)],
  ]),
  mustRaise: true,
  leaf: 99,
  seen: new Map([[ada.id, { size: 90, root: hash(4) }]]),
}

describe("a chain head as text", () => {
  it("comes back whole", () => {
    expect(parseChainHead(encodeChainHead(head))).toEqual(head)
  })

  it.each([
    ["no JSON", "{"],
    ["nothing", "null"],
    ["a field too many", encodeChainHead(head).replace("{", '{"more":1,')],
    ["a field too few", encodeChainHead(head).replace('"leaf":99,', "")],
    ["a bad id", encodeChainHead(head).replace(head.record, "x")],
    ["bad base64", encodeChainHead(head).replace(/"hash":"./, '"hash":"=')],
    ["an unknown role", encodeChainHead(head).replace("reader", "admin")],
    ["a negative number", encodeChainHead(head).replace('"leaf":99', '"leaf":-1')],
  ])("is refused with %s", (_, text) => {
    expect(() => parseChainHead(text)).toThrow(expect.objectContaining({ code: "BAD_INPUT_FORMAT" }))
  })
})
