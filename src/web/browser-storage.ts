/** The client's key → bytes store in a browser: one object store of IndexedDB. Holds only what the client has sealed. */
import type { ClientStorage } from "../client/storage.ts"
import { AppError } from "../errors.ts"

const storeName = "sealed"

/** How the client names what was typed and not saved. */
export const draftsPrefix = "draft/"

/** Where everything sealed lies in this browser. */
export function sealedStorage(): ClientStorage {
  return browserStorage("healthcrypt")
}

/** Opens the database at the first use, and again should the browser have closed it.
 * @throws UNAVAILABLE where the browser refuses storage. */
function browserStorage(databaseName: string): ClientStorage {
  let opening: Promise<IDBDatabase> | null = null

  const database = (): Promise<IDBDatabase> => {
    opening ??= open(databaseName, () => {
      opening = null
    })
    return opening
  }

  async function run<T>(
    mode: IDBTransactionMode,
    ask: (store: IDBObjectStore) => T,
    durability: "strict" | "relaxed" = "strict",
  ): Promise<T> {
    const transaction = (await database()).transaction(storeName, mode, { durability })
    const asked = ask(transaction.objectStore(storeName))
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(asked)
      transaction.onabort = () => reject(refused(transaction.error))
      transaction.onerror = () => reject(refused(transaction.error))
    })
  }

  return {
    async get(name) {
      const found: unknown = (await run("readonly", (store) => store.get(name))).result
      return found instanceof Uint8Array ? found : null
    },
    async put(name, bytes, durability) {
      await run("readwrite", (store) => store.put(bytes, name), durability)
    },
    async delete(...names) {
      await run("readwrite", (store) => names.map((name) => store.delete(name)))
    },
    async list(prefix) {
      const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`)
      const keys = (await run("readonly", (store) => store.getAllKeys(range))).result
      return keys.filter((key): key is string => typeof key === "string")
    },
    exclusive: (name, work) => navigator.locks.request(`${databaseName}/${name}`, work),
  }
}

function open(databaseName: string, closed: () => void): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(databaseName, 1)
    request.onupgradeneeded = () => request.result.createObjectStore(storeName)
    request.onsuccess = () => {
      const database = request.result
      database.onclose = closed
      database.onversionchange = () => {
        closed()
        database.close()
      }
      resolve(database)
    }
    request.onerror = () => {
      closed()
      reject(refused(request.error))
    }
  })
}

function refused(cause: unknown): AppError {
  return new AppError(
    "UNAVAILABLE",
    "This browser does not let Healthcrypt store anything. Allow site data, then try again.",
    { cause },
  )
}
