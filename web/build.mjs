// Prepares npm's copy of the design system and htmx for embedding: web/dist holds what a browser is sent and nothing else.
// The design system's font is licensed to other people and comes from another host, so its faces are taken out; no logo is copied.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const design = join(root, "node_modules/nhsuk-frontend/dist/nhsuk");
const dist = join(root, "web/dist");
const limit = 150 * 1024; // bytes transferred on a first visit, docs/guide/pages.md

// hashed is a file's name as web/assets.go will serve it: name.<first 12 hex digits of SHA-256>.ext
function hashed(name, bytes) {
  const dot = name.lastIndexOf(".");
  const sum = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  return `${name.slice(0, dot)}.${sum}${name.slice(dot)}`;
}

const files = new Map();

function styles() {
  let css = readFileSync(join(design, "nhsuk-frontend.min.css"), "utf8");
  css = css.replace(/@font-face\s*\{[^}]*\}/g, "");
  css = css.replace(/Frutiger W01,\s*/gi, "");
  css = css.replace(/\/\*# sourceMappingURL=[^*]*\*\//g, "");
  css = css.replace(/url\(["']?\/assets\/images\/([a-z-]+\.svg)["']?\)/g, (_, name) => {
    const bytes = readFileSync(join(design, "assets/images", name));
    files.set(name, bytes);
    return `url(${hashed(name, bytes)})`;
  });
  const foreign = css.match(/url\(["']?(https?:)?\/\/[^)]*\)|frutiger|@import/gi);
  if (foreign) throw new Error(`the design system's styles still name another host or font: ${foreign.join(", ")}`);
  files.set("nhsuk.css", Buffer.from(css));
}

function scripts() {
  const bare = (path) => Buffer.from(readFileSync(join(root, "node_modules", path), "utf8").replace(/\/\/# sourceMappingURL=.*$/m, ""));
  files.set("nhsuk.js", bare("nhsuk-frontend/dist/nhsuk/nhsuk-frontend.min.js"));
  files.set("htmx.js", bare("htmx.org/dist/htmx.min.js"));
}

styles();
scripts();
mkdirSync(dist, { recursive: true });
for (const old of readdirSync(dist)) if (old !== "README") rmSync(join(dist, old), { recursive: true });
let transferred = 0;
for (const [name, bytes] of files) {
  const gz = gzipSync(bytes, { level: 9 });
  const br = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
  writeFileSync(join(dist, name), bytes);
  writeFileSync(join(dist, `${name}.gz`), gz);
  writeFileSync(join(dist, `${name}.br`), br);
  transferred += gz.length;
  console.log(`${name.padEnd(28)} ${bytes.length} bytes, ${gz.length} with gzip, ${br.length} with brotli`);
}
if (transferred > limit) throw new Error(`a first visit would transfer ${transferred} bytes; the limit is ${limit}`);
