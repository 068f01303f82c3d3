// Unpacks the Chromium that an npm package carries: the program, and the libraries that a bare system has not got.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliDecompressSync } from "node:zlib";

const cache = process.argv[2];
const packed = join(cache, "node_modules/@sparticuz/chromium/bin");
const browser = join(cache, "browser");
const PROGRAM_MODE = 0o755;

const unpack = (name) => brotliDecompressSync(readFileSync(join(packed, name)));

// The package holds x86-64 alone; elsewhere browser.mjs takes the system's Chromium.
if (process.arch === "x64" && existsSync(packed)) {
  mkdirSync(browser, { recursive: true });
  writeFileSync(join(browser, "chromium"), unpack("chromium.br"));
  chmodSync(join(browser, "chromium"), PROGRAM_MODE);
  for (const name of ["al2023.tar.br", "fonts.tar.br", "swiftshader.tar.br"]) {
    const done = spawnSync("tar", ["--extract", "--no-same-owner", "--directory", browser], { input: unpack(name) });
    if (done.status !== 0) {
      throw new Error(`tar could not unpack ${name}: ${done.stderr}`);
    }
  }
}
