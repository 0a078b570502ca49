import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { brotliCompress, constants, gzip } from "node:zlib"
import react from "@vitejs/plugin-react"
import { defaultClientConditions, defineConfig, type Plugin } from "vite"

const root = join(import.meta.dirname, "src/web")
const built = join(import.meta.dirname, "dist/web")
const outDir = `${built}.new`

/** Puts `.br` and `.gz` beside each asset, so that the server never compresses anything itself, and then the whole in the place of
 * what was built before: a server that runs meanwhile goes on. index.html is left out: the server writes a fresh nonce into it at every
 * response. */
function publish(): Plugin {
  return {
    name: "healthcrypt-publish",
    apply: "build",
    async writeBundle() {
      const names = await readdir(outDir, { recursive: true })
      const assets = names.filter((name) => /\.(js|css|svg|wasm)$/.test(name))
      await Promise.all(
        assets.map(async (name) => {
          const path = join(outDir, name)
          const bytes = await readFile(path)
          const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length }
          await writeFile(`${path}.br`, await promisify(brotliCompress)(bytes, { params }))
          await writeFile(`${path}.gz`, await promisify(gzip)(bytes, { level: 9 }))
        }),
      )
      await rm(built, { recursive: true, force: true })
      await rename(outDir, built)
    },
  }
}

export default defineConfig({
  root,
  publicDir: false,
  plugins: [react(), publish()],
  resolve: { conditions: ["browser", ...defaultClientConditions] },
  html: { cspNonce: "__NONCE__" },
  worker: {
    format: "es",
    // Other hybrids than X-Wing are made when their module is loaded, and with them P-256 and P-384: nobody uses them.
    rolldownOptions: { treeshake: { manualPureFunctions: ["QSF", "createKitchenSink", "ecdhKem"] } },
  },
  build: {
    outDir,
    emptyOutDir: true,
    target: ["chrome120", "firefox130", "safari17.4"],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1500,
  },
})
