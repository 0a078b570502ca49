import { parseUtf8 } from "./bytes.ts"
import type { HeapText } from "./heap-text.ts"

export const heapText: HeapText = parseUtf8
