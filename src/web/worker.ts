/** The one worker: keys, crypto, sync, roster and search live here. The page gets plain views. */
import { expose } from "comlink"
import { createPageApi } from "../client/page-api.ts"
import { sealedStorage } from "./browser-storage.ts"
import { deviceLabel } from "./device-label.ts"
import { carryAppErrors } from "./transport.ts"

carryAppErrors()

expose(
  createPageApi({
    baseUrl: self.location.origin,
    fetch: (input, init) => fetch(input, init),
    storage: sealedStorage(),
    now: () => Date.now(),
    deviceLabel: deviceLabel(navigator.userAgent),
  }),
)
