import { readFile } from "node:fs/promises"
import { join } from "node:path"

/** The worked example of a page of docs/formats: the lines of its fenced blocks marked `example`, by name. Two or more spaces stand
 * between name and value; a line that begins with spaces continues the value above it. */
export async function workedExample(page: string): Promise<(name: string) => string> {
  const text = await readFile(join(import.meta.dirname, "../../docs/formats", page), "utf8")
  const values = new Map<string, string>()
  let last = ""
  for (const [, block] of text.matchAll(/^```example\n(.*?)^```/gms)) {
    for (const line of block!.split("\n").filter((line) => line.trim() !== "")) {
      const [, name, value] = /^(\S.*?)? {2,}(\S.*)$/.exec(line) ?? []
      if (value === undefined) throw new Error(`${page}: cannot read the line "${line}"`)
      if (name && values.has(name)) throw new Error(`${page}: "${name}" stands twice`)
      last = name ?? last
      values.set(last, (values.get(last) ?? "") + value)
    }
  }
  return (name) => {
    const value = values.get(name)
    if (value === undefined) throw new Error(`${page}: the example has no "${name}"`)
    return value
  }
}
