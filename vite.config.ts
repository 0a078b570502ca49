import { readdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { brotliCompress, constants, gzip } from "node:zlib"
import react from "@vitejs/plugin-react"
import { defaultClientConditions, defineConfig, type Plugin } from "vite"

const root = join(import.meta.dirname, "src/web")
const outDir = join(import.meta.dirname, "dist/web")

/** Puts `.br` and `.gz` beside each asset, so that the server never compresses anything itself. index.html is left
 * out: the server writes a fresh nonce into it at every response. */
function precompress(): Plugin {
  let folder = outDir
  return {
    name: "healthcrypt-precompress",
    apply: "build",
    configResolved({ build }) {
      folder = build.outDir
    },
    async closeBundle() {
      const names = await readdir(folder, { recursive: true })
      const assets = names.filter((name) => /\.(js|css|svg|wasm)$/.test(name))
      await Promise.all(
        assets.map(async (name) => {
          const path = join(folder, name)
          const bytes = await readFile(path)
          const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length }
          await writeFile(`${path}.br`, await promisify(brotliCompress)(bytes, { params }))
          await writeFile(`${path}.gz`, await promisify(gzip)(bytes, { level: 9 }))
        }),
      )
    },
  }
}

export default defineConfig({
  root,
  publicDir: false,
  plugins: [react(), precompress()],
  resolve: { conditions: ["browser", ...defaultClientConditions] },
  html: { cspNonce: "__NONCE__" },
  worker: { format: "es" },
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
