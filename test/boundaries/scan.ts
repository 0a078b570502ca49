import { parseSync } from "vite"

/** What one file reaches for: import specifiers of every kind, and globals by which something is read or sent. */
export interface Scan {
  readonly specifiers: readonly string[]
  readonly globals: readonly string[]
  /** What cannot be checked, such as a computed import. */
  readonly unclear: readonly string[]
}

interface Node {
  readonly type: string
  readonly [field: string]: unknown
}

/** By these a program reads, sends, stores, shows or runs something. `crypto` is none of them. */
const io = new Set(
  (
    "fetch XMLHttpRequest WebSocket WebTransport EventSource RTCPeerConnection Worker SharedWorker BroadcastChannel indexedDB " +
    "localStorage sessionStorage caches cookieStore navigator document window self globalThis location process Bun Deno " +
    "console require importScripts eval Function postMessage"
  ).split(" "),
)

/** Static, dynamic and type-only imports, re-exports, `import("…")` types, `import x = require("…")`, `require("…")`,
 * `new URL("…", import.meta.url)` and `/// <reference …>`. */
export function scan(path: string, text: string): Scan {
  const { program, comments, errors } = parseSync(path, text)
  const [error] = errors
  if (error !== undefined) throw new Error(`${path}: ${error.message}`)
  const specifiers: string[] = []
  const unclear: string[] = []
  const declared = new Set<string>()
  const used = new Set<string>()
  const take = (source: unknown, kind: string) => {
    const value = isNode(source) && source.type === "Literal" ? source.value : undefined
    if (typeof value === "string") specifiers.push(value)
    else if (source !== null && source !== undefined) unclear.push(kind)
  }
  walk(program as unknown as Node, null, (node, parent, field) => {
    switch (node.type) {
      case "ImportDeclaration":
      case "ExportNamedDeclaration":
      case "ExportAllDeclaration":
        take(node.source, node.type)
        break
      case "ImportExpression":
        take(node.source, "import(…)")
        break
      case "TSImportType":
        take(node.source ?? node.argument, "an import type")
        break
      case "TSExternalModuleReference":
        take(node.expression, "import = require(…)")
        break
      case "CallExpression":
        if (nameOf(node.callee) === "require") take(argument(node, 0), "require(…)")
        if (isMeta(node.callee, "glob")) unclear.push("import.meta.glob")
        break
      case "NewExpression":
        if (nameOf(node.callee) === "URL" && isMeta(argument(node, 1), "url")) take(argument(node, 0), "new URL(…)")
        break
      case "Identifier":
        if (isBinding(parent, field)) declared.add(node.name as string)
        else if (isReference(parent, field)) used.add(node.name as string)
        break
    }
  })
  for (const { value } of comments) {
    const reference = /^\/\s*<reference\s+(?:path|types)=["']([^"']+)["']/.exec(value)
    if (reference !== null) specifiers.push(reference[1]!)
  }
  return { specifiers, unclear, globals: [...used].filter((name) => io.has(name) && !declared.has(name)) }
}

/** What is taken of a global: names of its members, `[…]` for one that is computed, `this` where it is used whole. */
export function membersOf(path: string, text: string, global: string): string[] {
  const members = new Set<string>()
  walk(parseSync(path, text).program as unknown as Node, null, (node, parent, field) => {
    if (nameOf(node) !== global || isBinding(parent, field) || !isReference(parent, field)) return
    if (parent?.type !== "MemberExpression" || field !== "object") members.add("this")
    else members.add(parent.computed === true ? "[…]" : (nameOf(parent.property) ?? "[…]"))
  })
  return [...members]
}

function walk(
  node: Node,
  parent: Node | null,
  visit: (node: Node, parent: Node | null, field: string) => void,
  field = "",
): void {
  visit(node, parent, field)
  for (const [name, value] of Object.entries(node)) {
    const children = Array.isArray(value) ? value : [value]
    for (const child of children) if (isNode(child)) walk(child, node, visit, name)
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && typeof (value as Node).type === "string"
}

/** A name that the file declares itself. Where it is declared does not matter: nobody hides a global behind a name of its own here. */
function isBinding(parent: Node | null, field: string): boolean {
  if (parent === null) return false
  const { type } = parent
  if (field === "local") return type.startsWith("Import")
  if (field === "params" || field === "param") return true
  if (field === "id") return type === "VariableDeclarator" || type.startsWith("Function") || type.startsWith("Class")
  if (field === "value") return type === "Property" && parent.kind === "init" && parent.shorthand === true
  return field === "elements" && type === "ArrayPattern"
}

/** A name whose value is used: no property, no key, no type. */
function isReference(parent: Node | null, field: string): boolean {
  if (parent === null || parent.type.startsWith("TS"))
    return parent?.type === "TSAsExpression" || parent?.type === "TSNonNullExpression"
  if (field === "property" || field === "key") return parent.computed === true
  return true
}

function argument(node: Node, index: number): unknown {
  return (node.arguments as readonly unknown[])[index]
}

function nameOf(node: unknown): string | null {
  return isNode(node) && node.type === "Identifier" ? (node.name as string) : null
}

/** `import.meta.<property>` */
function isMeta(node: unknown, property: string): boolean {
  return (
    isNode(node) &&
    node.type === "MemberExpression" &&
    isNode(node.object) &&
    node.object.type === "MetaProperty" &&
    nameOf(node.property) === property
  )
}
