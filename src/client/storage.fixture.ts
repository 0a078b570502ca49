import type { ClientStorage } from "./storage.ts"

/** A device's storage for tests: in memory, with turns. @param stored shared by all that remember in the same place. */
export function memoryStorage(stored = new Map<string, Uint8Array>()): ClientStorage {
  const turns = new Map<string, Promise<unknown>>()
  return {
    get: async (name) => stored.get(name) ?? null,
    put: async (name, bytes) => void stored.set(name, bytes),
    async delete(...names) {
      for (const name of names) stored.delete(name)
    },
    list: async (prefix) => [...stored.keys()].filter((name) => name.startsWith(prefix)),
    exclusive(name, work) {
      const next = (turns.get(name) ?? Promise.resolve()).then(work, work)
      turns.set(name, next)
      return next
    },
  }
}
