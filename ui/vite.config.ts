// The pane's build: everything into maestro/pane/static, no inline script or style, and the digest of the sources beside it.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { defineConfig, type Plugin } from "vite";

const HERE = import.meta.dirname;
const OUT = join(HERE, "..", "maestro", "pane", "static");
/** What the built files follow from. tests/surface/test_pane_built.py counts the same way. */
const SOURCES = ["index.html", "package-lock.json", "package.json", "src", "tsconfig.json", "vite.config.ts"];

function filesBelow(path: string): string[] {
  try {
    return readdirSync(path).flatMap((name) => filesBelow(join(path, name)));
  } catch {
    return [path];
  }
}

/** SHA-256 over `path NUL content NUL` of every source, in the order of their paths. */
function digest(): string {
  const paths = SOURCES.flatMap((name) => filesBelow(join(HERE, name))).map((path) => relative(HERE, path).split(sep).join("/"));
  const hash = createHash("sha256");
  for (const path of paths.sort()) {
    hash.update(path).update("\0").update(readFileSync(join(HERE, path))).update("\0");
  }
  return hash.digest("hex");
}

let out = OUT;
const digested: Plugin = {
  name: "digest-of-the-sources",
  configResolved(config) {
    out = resolve(config.root, config.build.outDir);
  },
  closeBundle() {
    writeFileSync(join(out, "sources.sha256"), `${digest()}\n`);
  },
};

export default defineConfig({
  base: "./",
  plugins: [digested],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8700" } },
});
