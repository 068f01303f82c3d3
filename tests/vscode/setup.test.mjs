// A machine that has neither Foreword nor a Python for it, and then no network: what a person sees in the real workbench,
// and the one button that leads on. The set-up itself is the real one, as far as the first packages come in.
// Pictures are in build/vscode.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { PATIENCE_MS, PLAIN, SOON_MS, until, Workbench } from "./browser.mjs";
import { PackageIndex } from "./packageIndex.mjs";
import { makeRepository } from "./repository.mjs";

const ROOT = resolve(import.meta.dirname, "../..");
const PYTHON = join(ROOT, ".venv/bin/python");
/** All that the editor finds on the PATH but Python. */
const PROGRAMS = ["cat", "env", "git", "ls", "ps", "sed", "sh", "uname"];
const home = mkdtempSync(join(tmpdir(), "foreword-setup-"));
const folder = join(home, "shop");
const bin = join(home, "bin");
const editor = new Workbench(home, join(ROOT, "build/vscode"));
const index = new PackageIndex();

before(async () => {
  for (const each of [folder, bin]) {
    mkdirSync(each);
  }
  makeRepository(folder);
  for (const name of PROGRAMS) {
    const program = process.env.PATH.split(delimiter).map((each) => join(each, name)).find(existsSync);
    if (program) {
      symlinkSync(program, join(bin, name));
    }
  }
  editor.settings({ "foreword.engine.kind": "none", "security.workspace.trust.enabled": false, ...PLAIN });
  editor.install(join(ROOT, "editors/vscode/dist/foreword.vsix"));
  // as if from a terminal: otherwise the editor asks a login shell of whoever runs the tests for the PATH
  await editor.start({ PATH: bin, VSCODE_CLI: "1", ...(await index.reserve(PYTHON)) });
  await editor.open(folder);
});

after(async () => {
  await editor.close();
  await index.stop();
  rmSync(home, { recursive: true, force: true });
});

afterEach(async (context) => {
  if (!context.passed) {
    await editor.picture(`failed-${context.name.slice(0, 40).replaceAll(/\W+/g, "-")}`);
  }
});

const python = (script) => writeFileSync(join(bin, "python3"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
const message = (text) => editor.notification(text);
const press = (text, name) => message(text).getByRole("button", { name }).click();

/** A link out of the editor is asked about; it is not followed here. */
async function getPython(text) {
  await press(text, "Get Python");
  const dialog = editor.page.locator(".monaco-dialog-box", { hasText: "python.org" });
  await dialog.getByRole("button", { name: "Cancel" }).click();
}

const NONE = "Foreword needs Python 3.11 or newer, and there is no Python on the PATH.";
const OLD = "Foreword needs Python 3.11 or newer; the newest one found is 3.9";
const CUT_OFF = "The package index cannot be reached: there is no network, or a proxy is in the way.";

test("nothing is installed: that is said, and a button leads to the set-up, which says that there is no Python", async () => {
  const missing = "Foreword's server is not installed on this machine.";
  await message(missing).waitFor({ timeout: PATIENCE_MS });
  assert.match(await editor.statusText(), /not set up/);
  await editor.picture("13-not-installed");
  await press(missing, "Set Up");
  const choice = editor.page.locator(".quick-input-list .monaco-list-row", { hasText: "Server and index only" });
  await choice.waitFor({ timeout: SOON_MS });
  await editor.picture("14-set-up");
  await choice.click();
  await message(NONE).waitFor({ timeout: SOON_MS });
  assert.match(await editor.statusText(), /not set up/, "nothing is under way while the message stands");
  await editor.picture("15-no-python-at-all");
  await getPython(NONE);
});

test("the only Python is an old one: its version is told, also to who has just tried again", async () => {
  python('echo "3 9 1"');
  await press(NONE, "Try Again");
  await message(OLD).waitFor({ timeout: SOON_MS });
  assert.equal(await editor.page.locator(".notification-toast").count(), 1, "one message");
  await editor.picture("16-old-python");
  await getPython(OLD);
});

test("no network at set-up: that is said, and nothing half made is left", async () => {
  const program = execFileSync(PYTHON, ["-c", "import sys; print(sys._base_executable)"], { encoding: "utf8" });
  python(`exec '${program.trim()}' "$@"`);
  await press(OLD, "Try Again");
  await message("Setting up Foreword").waitFor({ timeout: SOON_MS });
  await message(CUT_OFF).waitFor({ timeout: PATIENCE_MS });
  assert.match(await editor.statusText(), /not set up/);
  await editor.picture("17-no-network");
  assert.deepEqual(environments(), []);
});

test("with the network back the same button goes on, and a set-up that is cancelled leaves nothing", async () => {
  await index.start();
  await press(CUT_OFF, "Try Again");
  const bar = message("Setting up Foreword");
  await bar.filter({ hasText: "fetching" }).waitFor({ timeout: PATIENCE_MS });
  assert.match(await editor.statusText(), /setting up/i);
  await editor.picture("18-fetching");
  await bar.getByRole("button", { name: "Cancel" }).click();
  await bar.waitFor({ state: "hidden", timeout: PATIENCE_MS });
  await until(SOON_MS, "the old state", async () => /not set up/.test(await editor.statusText()));
  assert.deepEqual(environments(), []);
  assert.equal(await editor.page.locator(".notification-toast").count(), 0, "who cancels knows it");
});

/** What set-ups have left in the extension's storage. */
function environments() {
  const storage = join(home, "data/User/globalStorage/foreword.foreword");
  return existsSync(storage) ? readdirSync(storage) : [];
}
