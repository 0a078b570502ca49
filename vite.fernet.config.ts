import { join } from "node:path"
import { type BuildEnvironmentOptions, defineConfig } from "vite"

/** `healthcrypt/fernet`, usable alone: one file for each engine, as package.json's `exports` names them. */
function library(file: string): BuildEnvironmentOptions {
  return {
    outDir: join(import.meta.dirname, "dist"),
    emptyOutDir: false,
    minify: false,
    reportCompressedSize: false,
    target: "es2023",
    lib: { entry: join(import.meta.dirname, "src/vault/fernet.ts"), formats: ["es"] },
    rolldownOptions: { output: { entryFileNames: file } },
  }
}

export default defineConfig({
  publicDir: false,
  builder: {},
  environments: {
    client: { resolve: { conditions: ["browser"] }, build: library("fernet.browser.js") },
    node: { consumer: "server", resolve: { conditions: ["node"] }, build: library("fernet.node.js") },
  },
})
