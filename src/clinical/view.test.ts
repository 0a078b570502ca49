import { describe, expect, it } from "vitest"
import type { Change } from "./body.ts"
import { type Chart, foldBodies } from "./fold.ts"
import { changesBetween } from "./history.ts"
import { sampleResources } from "./resources.fixture.ts"
import { summaryOf } from "./summary.ts"
import { viewOf } from "./view.ts"

type Resource = (typeof sampleResources)[number]

const prototypeNames = Object.getOwnPropertyNames(Object.prototype)

const chartOf = (resources: readonly Resource[]): Chart =>
  foldBodies([
    { by: "", changes: resources.map((one, at): Change => [`${one.resourceType}/${at}`, JSON.stringify(one)]) },
  ])

/** A resource with the text at one place, or with all of its texts (`null`), replaced: but for its type, which its key says too. */
function withText(resource: Resource, word: string, place: number | null): Resource {
  let at = 0
  const put = (value: unknown, name: string): unknown => {
    if (typeof value === "string" && name !== "resourceType") return place === null || at++ === place ? word : value
    if (Array.isArray(value)) return value.map((item) => put(item, ""))
    if (typeof value !== "object" || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([inner, part]) => [inner, put(part, inner)]))
  }
  return put(resource, "") as Resource
}

function countTexts(value: unknown): number {
  if (typeof value === "string") return 1
  if (typeof value !== "object" || value === null) return 0
  return Object.values(value).reduce((sum: number, part) => sum + countTexts(part), 0)
}

function isPlain(value: unknown): boolean {
  if (typeof value === "string") return !value.includes("[native code]")
  if (Array.isArray(value)) return value.every(isPlain)
  if (typeof value !== "object" || value === null) return value === null || ["number", "boolean"].includes(typeof value)
  return Object.getPrototypeOf(value) === Object.prototype && Object.values(value).every(isPlain)
}

/** The shortest of a few: what else the machine does makes none of them shorter. */
function timeOf(work: () => unknown): number {
  const times = Array.from({ length: 5 }, () => {
    const start = performance.now()
    work()
    return performance.now() - start
  })
  return Math.min(...times)
}

describe("a view", () => {
  it("is plain data, whatever word stands in whatever field of a resource", () => {
    const demandPlain = (resource: Resource, before: Resource) => {
      const [chart, earlier] = [chartOf([resource]), chartOf([before])]
      const changes = changesBetween(earlier.resources, chart.resources, chart.resources.keys())
      for (const view of [viewOf(chart), summaryOf(chart), changes])
        if (!isPlain(view)) expect.fail(`not plain data, from ${JSON.stringify(resource)}`)
    }
    for (const resource of sampleResources)
      for (const word of prototypeNames) {
        demandPlain(withText(resource, word, null), resource)
        for (let place = 0; place < countTexts(resource) - 1; place++)
          demandPlain(withText(resource, word, place), resource)
      }
    expect(() => structuredClone(viewOf(chartOf(sampleResources)))).not.toThrow()
  })

  it("reads what a resource contains once, however often it is pointed at", () => {
    const team = (references: number): Resource => ({
      resourceType: "CareTeam",
      contained: [{ resourceType: "Group", id: "x", text: { div: "&amp;".repeat(400_000) } }],
      participant: Array.from({ length: references }, () => ({ member: { reference: "#x" } })),
    })
    const [one, fifty] = [chartOf([team(1)]), chartOf([team(50)])]
    viewOf(one)
    expect(timeOf(() => viewOf(fifty))).toBeLessThan(timeOf(() => viewOf(one)) * 5 + 200)
  })

  it("shows the beginning of a long narrative, without what the cut went through", () => {
    const textOf = (div: string) =>
      viewOf(chartOf([{ resourceType: "Basic", text: { div } }])).groups[0]!.lines[0]!.text
    for (const [broken, rest] of [
      ["<td class='", "'>late</td>"],
      ["&quo", "t;late"],
      ["&#123", "4;late"],
    ] as const) {
      const before = `Early${"<br/>".repeat(4000)}`.slice(0, 16 * 1024 - broken.length - 5)
      const whole = before.slice(0, before.lastIndexOf("<"))
      expect(textOf(`${whole}${" ".repeat(16 * 1024 - broken.length - whole.length)}${broken}${rest}`)).toBe("Early…")
    }
  })

  it("does not take long over what is no number", () => {
    const valueQuantity = { value: `${"e".repeat(300_000)}\n`.repeat(2), unit: "mg" }
    expect(timeOf(() => viewOf(chartOf([{ resourceType: "Observation", valueQuantity }])))).toBeLessThan(2000)
  })
})
